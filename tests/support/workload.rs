//! Changes of all kinds by a seed, as one writer makes them: for peers that must end up with the same entries.

use super::client::Client;
use super::request::{self, ADD, DELETE, REPLACE};
use super::server::SUFFIX;
use super::{client, code};

/// Numbers that look random, by a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % below.max(1)
    }
}

/// Who changes what; knows what is there, so that every request succeeds.
pub(crate) struct Workload {
    dice: Dice,
    /// Names of the branches below the suffix, as they are now.
    branches: Vec<String>,
    /// Branch and name of each person.
    people: Vec<(usize, String)>,
    /// Members of the group.
    members: Vec<String>,
    made: usize,
    on_their_way: Vec<i64>,
    /// Requests on their way at a time; 1 for slapd, which does not keep their order.
    pub(crate) window: usize,
    /// Whether branches get other names: slapd does not follow them in groups.
    pub(crate) renames_branches: bool,
    /// Whether groups show their members under new names, and without those that are gone: 389 does neither by itself.
    pub(crate) follows_members: bool,
    /// Add further people where there are fewer than that; delete where there are more.
    people_max: usize,
}

impl Workload {
    /// Makes four branches and a group.
    #[track_caller]
    pub(crate) fn begin(client: &mut Client, seed: u64, people_max: usize) -> Self {
        let branches: Vec<_> = (0..4).map(|number| format!("ou=b{number}")).collect();
        for branch in &branches {
            let dn = format!("{branch},{SUFFIX}");
            client.add(&dn, &[("objectClass", &["organizationalUnit"])]).expect(code::SUCCESS);
        }
        let group: [(&str, &[&str]); 2] = [("objectClass", &["groupOfNames"]), ("member", &[SUFFIX])];
        client.add(&format!("cn=everybody,{SUFFIX}"), &group).expect(code::SUCCESS);
        Self {
            dice: Dice(seed),
            branches,
            people: Vec::new(),
            members: Vec::new(),
            made: 0,
            on_their_way: Vec::new(),
            window: 64,
            renames_branches: true,
            follows_members: true,
            people_max,
        }
    }

    /// Makes so many changes, all answered with success.
    #[track_caller]
    pub(crate) fn make(&mut self, client: &mut Client, changes: usize) {
        for _ in 0..changes {
            let operation = self.next();
            self.on_their_way.push(client.send(&operation));
            if self.on_their_way.len() >= self.window {
                self.answers(client);
            }
        }
        self.answers(client);
    }

    #[track_caller]
    fn answers(&mut self, client: &mut Client) {
        for id in self.on_their_way.drain(..) {
            let message = client.receive_for(id).expect("the server answers");
            client::parse_outcome(&message).expect("a result").expect(code::SUCCESS);
        }
    }

    fn dn(&self, branch: usize, name: &str) -> String {
        format!("{name},{},{SUFFIX}", self.branches[branch])
    }

    fn next(&mut self) -> Vec<u8> {
        self.made += 1;
        let made = self.made;
        let kind = self.dice.roll(1000);
        if self.people.len() < 10 || (kind < 300 && self.people.len() < self.people_max) {
            let (branch, name) = (self.dice.roll(4), format!("cn=person {made}"));
            let dn = self.dn(branch, &name);
            self.people.push((branch, name));
            let text = format!("number {made}");
            let attributes: [(&str, &[&str]); 3] =
                [("objectClass", &["inetOrgPerson"]), ("sn", &["Über"]), ("description", &[&text])];
            return request::add(&dn, &attributes);
        }
        let chosen = self.dice.roll(self.people.len());
        let (branch, name) = self.people[chosen].clone();
        let dn = self.dn(branch, &name);
        match kind {
            0..650 => {
                let (number, title) = (format!("+49 {made}"), format!("title {}", made % 7));
                request::modify(&dn, &[(REPLACE, "telephoneNumber", &[&number]), (REPLACE, "title", &[&title])])
            }
            650..720 => {
                let new = format!("cn=renamed {made}");
                self.people[chosen].1.clone_from(&new);
                self.members.iter_mut().filter(|member| **member == name).for_each(|member| member.clone_from(&new));
                request::modify_dn(&dn, &new, true, None)
            }
            720..790 => {
                let to = (branch + 1 + self.dice.roll(3)) % 4;
                self.people[chosen].0 = to;
                let superior = format!("{},{SUFFIX}", self.branches[to]);
                request::modify_dn(&dn, &name, false, Some(&superior))
            }
            790..800 if self.renames_branches => {
                // A branch gets another name, with all below it.
                let number = self.dice.roll(4);
                let (old, new) = (self.branches[number].clone(), format!("ou=b{number} of {made}"));
                self.branches[number].clone_from(&new);
                request::modify_dn(&format!("{old},{SUFFIX}"), &new, true, None)
            }
            800..880 if self.follows_members => {
                let group = format!("cn=everybody,{SUFFIX}");
                if self.members.contains(&name) {
                    self.members.retain(|member| *member != name);
                    return request::modify(&group, &[(DELETE, "member", &[&dn])]);
                }
                if self.members.len() > 40 {
                    return request::modify(&dn, &[(REPLACE, "title", &["not a member"])]);
                }
                self.members.push(name);
                request::modify(&group, &[(ADD, "member", &[&dn])])
            }
            _ => {
                self.members.retain(|member| *member != name);
                self.people.swap_remove(chosen);
                request::delete(&dn)
            }
        }
    }
}
