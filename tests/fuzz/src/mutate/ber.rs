//! Mutation of one BER element inside a message: the lengths of those around it are made right again, so that mutants come
//! to where contents are looked at.

use super::{Random, mutate};

/// Elements within elements that are looked for.
const DEPTH_MAX: usize = 24;

/// Where an element stands: header, content, end.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    content: usize,
    end: usize,
}

/// `input` with one of its elements changed, doubled, removed, or replaced by one of another input.
pub(super) fn mutate_element(random: &mut Random, input: &[u8], pool: &[Vec<u8>]) -> Vec<u8> {
    // Some inputs have an octet before their first message.
    let first = usize::from(input.first().is_some_and(|octet| *octet < 0x30));
    let mut path = Vec::new();
    let (mut from, mut until) = (first, input.len());
    while path.len() < DEPTH_MAX {
        let children = places(input, from, until);
        if children.is_empty() {
            break;
        }
        let child = children[random.below(children.len())];
        path.push(child);
        // Deeper when it can be gone into; now and then no further.
        let is_constructed = input[child.start] & 0x20 != 0 || input[child.start] == 4;
        if !is_constructed || random.below(6) == 0 {
            break;
        }
        (from, until) = (child.content, child.end);
    }
    let Some(place) = path.pop() else {
        let mut changed = input.to_vec();
        mutate(random, &mut changed, pool);
        return changed;
    };
    let whole = &input[place.start..place.end];
    let replacement = match random.below(8) {
        0 => Vec::new(),
        1 => [whole, whole].concat(),
        2 => foreign(random, pool).unwrap_or_else(|| whole.to_vec()),
        3 => [whole, &foreign(random, pool).unwrap_or_default()].concat(),
        4 => {
            let mut changed = whole.to_vec();
            changed[0] =
                [0x01, 0x02, 0x04, 0x0a, 0x30, 0x31, 0x80, 0x81, 0x82, 0xa0, 0xa1, 0xa2, 0xa3][random.below(13)];
            changed
        }
        _ => {
            let mut content = input[place.content..place.end].to_vec();
            mutate(random, &mut content, pool);
            element(input[place.start], &content)
        }
    };
    let mut changed = replacement;
    let mut inner = place;
    while let Some(outer) = path.pop() {
        let content = [&input[outer.content..inner.start], &changed, &input[inner.end..outer.end]].concat();
        changed = element(input[outer.start], &content);
        inner = outer;
    }
    [&input[..inner.start], &changed, &input[inner.end..]].concat()
}

/// An element of some input of the pool.
fn foreign(random: &mut Random, pool: &[Vec<u8>]) -> Option<Vec<u8>> {
    let other = &pool[random.below(pool.len())];
    let (mut from, mut until) = (0, other.len());
    let mut chosen = None;
    for _ in 0..=random.below(6) {
        let children = places(other, from, until);
        if children.is_empty() {
            break;
        }
        let child = children[random.below(children.len())];
        chosen = Some(child);
        (from, until) = (child.content, child.end);
    }
    chosen.map(|place| other[place.start..place.end].to_vec())
}

/// The elements one after the other between two places.
fn places(bytes: &[u8], from: usize, until: usize) -> Vec<Place> {
    let mut found = Vec::new();
    let mut at = from;
    while at + 2 <= until {
        let first = usize::from(bytes[at + 1]);
        let octets = if first < 0x80 { 0 } else { first & 0x7f };
        if octets > 2 || first == 0x80 || at + 2 + octets > until {
            break;
        }
        let content = at + 2 + octets;
        let length = match octets {
            0 => first,
            _ => bytes[at + 2..content].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)),
        };
        if content + length > until {
            break;
        }
        found.push(Place { start: at, content, end: content + length });
        at = content + length;
    }
    found
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().min(0xffff);
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.extend([0x82, (length >> 8) as u8, length as u8]);
    }
    out.extend_from_slice(&content[..length]);
    out
}
