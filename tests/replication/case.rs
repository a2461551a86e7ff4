//! The language of the cases: lines to commands.

/// One story.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) replicas: Vec<char>,
    pub(crate) steps: Vec<Step>,
}

/// A line of it.
pub(crate) struct Step {
    /// Line number in the file, for telling.
    pub(crate) line: usize,
    pub(crate) command: Command,
}

pub(crate) enum Command {
    /// A client's request to a replica at a time (ms after the start), and the result code that it is to have.
    Ask { replica: char, at_ms: u64, request: Ask, result: String },
    /// What one holds is delivered to another: all, or so many records of its own origin.
    Deliver { from: char, to: char, count: Option<usize> },
    /// Everything to everybody.
    Sync,
    /// The other's whole entries, as for a new member.
    Exchange { from: char, to: char },
    /// What all hold is forgotten.
    Settle,
    /// Closed and opened again.
    Reopen(char),
    /// What one (or every) replica must show.
    Expect { replica: Option<char>, what: Expect },
}

#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Add {
        dn: String,
        attributes: Vec<(String, Vec<String>)>,
    },
    /// An entry with this entryUUID (a number), as an import brings it.
    Import {
        uuid: u8,
        dn: String,
        attributes: Vec<(String, Vec<String>)>,
    },
    /// Kind, attribute, values.
    Modify {
        dn: String,
        list: Vec<(String, String, Vec<String>)>,
    },
    Rename {
        dn: String,
        new_rdn: String,
        delete_old: bool,
        superior: Option<String>,
    },
    Delete {
        dn: String,
    },
    /// What becomes of the first open conflict of a kind.
    Decide {
        kind: String,
        state: String,
    },
}

pub(crate) enum Expect {
    Exists(String),
    Absent(String),
    Phantom(String),
    /// How many entries have their name held by the entry of this name.
    Losers(String, usize),
    Values(String, String, Vec<String>),
    /// RDNs of what is directly below, hidden ones left out.
    Children(String, Vec<String>),
    SkippedMoves(usize),
    Waiting(usize),
    Moves(usize),
    /// Open conflicts of a kind.
    Conflicts(String, usize),
}

/// The cases in a file.
pub(crate) fn read(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let told = format!("{file}:{number}: {line}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case { name: name.to_owned(), replicas: vec!['A', 'B'], steps: Vec::new() });
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("{told}: before the first case"));
        if let Some(names) = line.strip_prefix("replicas ") {
            case.replicas = names.split_whitespace().map(letter).collect();
        } else if line.starts_with("  ") {
            let step = case.steps.last_mut().unwrap_or_else(|| panic!("{told}: belongs to nothing"));
            more(&mut step.command, line.trim(), &told);
        } else {
            case.steps.push(Step { line: number, command: command(line, &told) });
        }
    }
    cases
}

fn letter(word: &str) -> char {
    word.chars().next().unwrap_or('?')
}

fn values(text: &str) -> Vec<String> {
    text.split('|').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

fn command(line: &str, told: &str) -> Command {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let pair = || {
        let (way, count) = rest.split_once(' ').map_or((rest, None), |(way, count)| (way, count.parse().ok()));
        let (from, to) = way.split_once("->").unwrap_or_else(|| panic!("{told}: FROM->TO is wanted"));
        (letter(from), letter(to), count)
    };
    match first {
        "sync" => Command::Sync,
        "settle" => Command::Settle,
        "reopen" => Command::Reopen(letter(rest)),
        "deliver" => {
            let (from, to, count) = pair();
            Command::Deliver { from, to, count }
        }
        "exchange" => {
            let (from, to, _) = pair();
            Command::Exchange { from, to }
        }
        "expect" => {
            let (who, what) = rest.split_once(' ').unwrap_or((rest, ""));
            let is_replica = who.len() == 1 && who.chars().all(|name| name.is_ascii_uppercase());
            let (replica, what) = if is_replica { (Some(letter(who)), what) } else { (None, rest) };
            Command::Expect { replica, what: expect(what, told) }
        }
        replica if replica.len() == 1 => {
            let (line, result) = rest.split_once(" => ").unwrap_or((rest, "success"));
            let mut words = line.splitn(3, ' ');
            let at_ms = words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{told}: when?"));
            let (verb, object) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let request = ask(verb, object, told);
            Command::Ask { replica: letter(replica), at_ms, request, result: result.trim().to_owned() }
        }
        _ => panic!("{told}: no such command"),
    }
}

fn ask(verb: &str, object: &str, told: &str) -> Ask {
    let dn = object.to_owned();
    match verb {
        "add" => Ask::Add { dn, attributes: Vec::new() },
        "decide" => {
            let (kind, state) = object.split_once(' ').unwrap_or_else(|| panic!("{told}: KIND STATE is wanted"));
            Ask::Decide { kind: kind.to_owned(), state: state.to_owned() }
        }
        "import" => {
            let (uuid, dn) = object.split_once(' ').unwrap_or_else(|| panic!("{told}: UUID DN is wanted"));
            Ask::Import { uuid: uuid.parse().unwrap(), dn: dn.to_owned(), attributes: Vec::new() }
        }
        "modify" => Ask::Modify { dn, list: Vec::new() },
        "delete" => Ask::Delete { dn },
        // rename DN -> NEWRDN [keep]; move DN -> SUPERIOR [as NEWRDN]
        "rename" | "move" => {
            let (dn, to) = object.split_once(" -> ").unwrap_or_else(|| panic!("{told}: DN -> NEW is wanted"));
            let (to, keeps) = to.strip_suffix(" keep").map_or((to, false), |to| (to, true));
            let own = dn.split(',').next().unwrap_or_default();
            let (new_rdn, superior) = match (verb, to.split_once(" as ")) {
                ("rename", _) => (to.to_owned(), None),
                (_, Some((superior, rdn))) => (rdn.to_owned(), Some(superior.to_owned())),
                (_, None) => (own.to_owned(), Some(to.to_owned())),
            };
            Ask::Rename { dn: dn.to_owned(), new_rdn, delete_old: !keeps, superior }
        }
        _ => panic!("{told}: no such request"),
    }
}

fn more(command: &mut Command, line: &str, told: &str) {
    let Command::Ask { request, .. } = command else { panic!("{told}: belongs to nothing") };
    let (name, text) = line.split_once(':').unwrap_or_else(|| panic!("{told}: NAME: VALUE is wanted"));
    match request {
        Ask::Add { attributes, .. } | Ask::Import { attributes, .. } => {
            attributes.push((name.to_owned(), values(text)));
        }
        Ask::Modify { list, .. } => {
            let (kind, name) = name.split_once(' ').unwrap_or_else(|| panic!("{told}: KIND NAME: is wanted"));
            list.push((kind.to_owned(), name.to_owned(), values(text)));
        }
        _ => panic!("{told}: takes no lines"),
    }
}

fn expect(what: &str, told: &str) -> Expect {
    let number = |text: &str| text.trim().parse().unwrap_or_else(|_| panic!("{told}: a number is wanted"));
    let (first, rest) = what.split_once(' ').unwrap_or((what, ""));
    match first {
        "skipped" => return Expect::SkippedMoves(number(rest)),
        "moves" => return Expect::Moves(number(rest)),
        "waiting" => return Expect::Waiting(number(rest)),
        "conflicts" => {
            let (kind, count) = rest.split_once(' ').unwrap_or_else(|| panic!("{told}: KIND COUNT is wanted"));
            return Expect::Conflicts(kind.to_owned(), number(count));
        }
        "losers" => {
            let (dn, count) = rest.rsplit_once(' ').unwrap_or_else(|| panic!("{told}: DN COUNT is wanted"));
            return Expect::Losers(dn.to_owned(), number(count));
        }
        "children" => {
            let (dn, names) = rest.split_once(':').unwrap_or_else(|| panic!("{told}: DN: RDNS is wanted"));
            return Expect::Children(dn.to_owned(), values(names));
        }
        _ => {}
    }
    if let Some((place, text)) = what.split_once(':') {
        let (dn, name) = place.rsplit_once(' ').unwrap_or_else(|| panic!("{told}: DN NAME: is wanted"));
        return Expect::Values(dn.to_owned(), name.to_owned(), values(text));
    }
    let (dn, state) = what.rsplit_once(' ').unwrap_or_else(|| panic!("{told}: DN STATE is wanted"));
    match state {
        "exists" => Expect::Exists(dn.to_owned()),
        "absent" => Expect::Absent(dn.to_owned()),
        "phantom" => Expect::Phantom(dn.to_owned()),
        _ => panic!("{told}: exists, absent or phantom is wanted"),
    }
}
