//! Mutation of byte strings from a seeded generator: the same seed gives the same inputs.

mod ber;

/// Longest input that mutation makes, in bytes.
const INPUT_BYTES_MAX: usize = 1_024;

/// Octets at which lengths, tags and texts change their meaning.
const SPECIAL: &[u8] = &[
    0x00, 0x01, 0x02, 0x04, 0x0a, 0x30, 0x31, 0x60, 0x63, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x85, 0xa0, 0xa2, 0xa4, 0xa9,
    0xc0, 0xc3, 0xed, 0xff, b'\\', b'"', b'*', b'(', b')', b'=', b',', b'+', b'#', b'%', b'?', b'/', b':', b'<', b'-',
    b' ', b'\n', b'\r', b';', b'\'', b'$', b'{', b'!', b'&', b'|', b'~', b'>',
];

/// xorshift64*: good enough to pick bytes, and the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) % bound as u64) as usize
    }
}

/// One mutant of one of the pool's inputs. `is_ber`: every other one keeps the lengths of its elements right.
pub(crate) fn mutant(random: &mut Random, pool: &[Vec<u8>], is_ber: bool) -> Vec<u8> {
    let mut input = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(4) {
        if is_ber && random.below(2) == 0 {
            input = ber::mutate_element(random, &input, pool);
        } else {
            mutate(random, &mut input, pool);
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn mutate(random: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    if input.is_empty() {
        input.push(SPECIAL[random.below(SPECIAL.len())]);
        return;
    }
    let at = random.below(input.len());
    match random.below(10) {
        0 => input[at] ^= 1 << random.below(8),
        1 => input[at] = random.next() as u8,
        2 => input[at] = SPECIAL[random.below(SPECIAL.len())],
        3 => input[at] = input[at].wrapping_add(1),
        4 => input[at] = input[at].wrapping_sub(1),
        5 => input.insert(at, SPECIAL[random.below(SPECIAL.len())]),
        6 => {
            let end = at + random.below((input.len() - at).min(16)) + 1;
            input.drain(at..end);
        }
        7 => {
            let end = at + random.below((input.len() - at).min(64)) + 1;
            let run = input[at..end].to_vec();
            let to = random.below(input.len());
            input.splice(to..to, run);
        }
        8 => {
            let other = &pool[random.below(pool.len())];
            if !other.is_empty() {
                let from = random.below(other.len());
                let end = from + random.below((other.len() - from).min(64)) + 1;
                input.splice(at..at, other[from..end].iter().copied());
            }
        }
        _ => input.truncate(at),
    }
}
