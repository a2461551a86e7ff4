//! Paged results (RFC 2696) and their cookies (hostile.md T-15).

use super::support::{ANN, ANYONE, Answer, Ask, House, PEOPLE, SUFFIX};
use crate::model::ResultCode;
use crate::operation::{Options, Session};
use crate::policy::limits::LimitsOptions;

fn crowd(options: Options) -> House {
    let house = House::with_options(&[ANYONE], options);
    for index in 0..20 {
        house.person(100 + index, &format!("p{index:02}"), &[]);
    }
    house
}

fn page(house: &House, session: &mut Session, filter: &str, size: i32, cookie: &[u8]) -> Answer {
    house.search(session, &Ask { page: Some((size, cookie)), ..Ask::sub(PEOPLE, filter).attributes(&["uid"]) })
}

#[test]
fn pages_together_are_the_whole_answer_each_entry_once() {
    let house = crowd(Options::default());
    for size in [1, 3, 10, 20, 21, 1000] {
        let mut session = house.administrator();
        let (mut seen, mut cookie) = (Vec::new(), Vec::new());
        loop {
            let found = page(&house, &mut session, "(uid=p*)", size, &cookie);
            assert_eq!(found.code, ResultCode::SUCCESS);
            seen.extend(found.names().into_iter().map(str::to_owned));
            cookie = found.cookie.clone().unwrap();
            if cookie.is_empty() {
                break;
            }
            assert_eq!(found.entries.len(), size as usize, "a page before the last is full");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 20, "pages of {size}");
        assert!(session.paged.is_empty());
    }
}

#[test]
fn cookies_of_others_and_old_ones_are_refused() {
    let house = crowd(Options::default());
    let mut session = house.person_session(ANN);
    let first = page(&house, &mut session, "(uid=p*)", 2, b"").cookie.unwrap();
    let refused = |session: &mut Session, filter: &str, cookie: &[u8]| {
        page(&house, session, filter, 2, cookie).code == ResultCode::UNWILLING_TO_PERFORM
    };
    assert!(refused(&mut house.person_session(ANN), "(uid=p*)", &first), "another connection");
    assert!(refused(&mut session, "(uid=p*)", b"nonsense"), "forged");
    let second = page(&house, &mut session, "(uid=p*)", 2, &first).cookie.unwrap();
    assert!(refused(&mut session, "(uid=p*)", &first), "used");
    session.requester = house.anonymous().requester;
    assert!(refused(&mut session, "(uid=p*)", &second), "another requester");
    let mut session = house.person_session(ANN);
    let first = page(&house, &mut session, "(uid=p*)", 2, b"").cookie.unwrap();
    assert!(refused(&mut session, "(uid=*)", &first), "another filter");
}

#[test]
fn several_searches_wait_and_the_oldest_goes_first() {
    let house = crowd(Options::default());
    let mut session = house.administrator();
    let cookies: Vec<_> = (0..9).map(|_| page(&house, &mut session, "(uid=p*)", 2, b"").cookie.unwrap()).collect();
    assert_eq!(page(&house, &mut session, "(uid=p*)", 2, &cookies[0]).code, ResultCode::UNWILLING_TO_PERFORM);
    for cookie in &cookies[1..] {
        assert_eq!(page(&house, &mut session, "(uid=p*)", 100, cookie).entries.len(), 18);
    }
}

#[test]
fn size_zero_ends_a_paged_search() {
    let house = crowd(Options::default());
    let mut session = house.administrator();
    let first = page(&house, &mut session, "(uid=p*)", 2, b"").cookie.unwrap();
    let ended = page(&house, &mut session, "(uid=p*)", 0, &first);
    assert_eq!((ended.code, ended.entries.len(), ended.cookie), (ResultCode::SUCCESS, 0, Some(Vec::new())));
    assert!(session.paged.is_empty());
}

#[test]
fn limits_bind_pages_and_for_anonymous_all_pages_together() {
    let limits = LimitsOptions { size: 5, size_anonymous: 5, ..LimitsOptions::default() };
    let house = crowd(Options { limits, ..Options::default() });
    let mut ann = house.person_session(ANN);
    let first = page(&house, &mut ann, "(uid=p*)", 100, b"");
    assert_eq!((first.code, first.entries.len()), (ResultCode::SUCCESS, 5));
    assert_eq!(page(&house, &mut ann, "(uid=p*)", 100, &first.cookie.unwrap()).entries.len(), 5);
    let mut anonymous = house.anonymous();
    let first = page(&house, &mut anonymous, "(uid=p*)", 3, b"");
    let second = page(&house, &mut anonymous, "(uid=p*)", 3, &first.cookie.unwrap());
    assert_eq!((second.code, second.entries.len()), (ResultCode::SIZE_LIMIT_EXCEEDED, 2));
}

#[test]
fn a_right_that_is_taken_away_ends_with_the_page() {
    let house = crowd(Options::default());
    let mut session = house.anonymous();
    let first = page(&house, &mut session, "(uid=p*)", 3, b"");
    house.set(SUFFIX, "aci", ANYONE, false);
    let second = page(&house, &mut session, "(uid=p*)", 3, &first.cookie.unwrap());
    assert_eq!(second.entries.len(), 0);
}
