//! Which privileges an ordered list of rules comes to, for a kind of place and attribute, as functions of questions.
//!
//! The list is followed as slapd follows it, for all requesters and entries at once: what is given so far and who is still
//! asked about are functions, and each `by` changes both for those whom it fits.

use super::Problem;
use super::attributes::Group;
use super::decision::{Function, Functions, Question, TooComplex};
use super::region::Region;
use super::rule::{Change, Clause, Control, Rule, Target, Who};
use super::tree::{Ancestor, Place, Tree};
use crate::model::{Dn, Scope};
use crate::schema::Schema;
use std::collections::BTreeSet;

/// Most questions about the entry, and most about who asks; how deep functions go follows from it.
const QUESTIONS_MAX: usize = 256;
/// Questions about who asks have numbers from here, so that those about the entry come before them.
const WHO: Question = 1 << 20;
/// The last question: whether somebody has authenticated.
pub(super) const USERS: Question = 1 << 30;

/// A question that is asked about the entry, or about who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// A value of the entry (level 0) or its superior (1) is the requester's name.
    Attribute {
        name: String,
        level: u8,
    },
    Domain(Vec<String>),
    /// The entry matches.
    Filter(String),
    Group {
        dn: Dn,
        is_nested: bool,
    },
    Ip(String),
    /// The requester is the entry directly below this one that the entry is at or below, named by this type.
    Owner {
        base: usize,
        rdn_type: Option<String>,
    },
    /// The entry directly below this one that the entry is at or below is named by this type alone.
    Rdn {
        base: usize,
        rdn_type: String,
    },
    Region {
        base: Dn,
        scope: Scope,
        rdn_type: Option<String>,
    },
    SelfEntry,
    Ssf(u32),
    Superior,
    /// Not to be asked here.
    Unknown {
        is_about_entry: bool,
        origin: String,
        why: String,
    },
    User(Dn),
}

impl Ask {
    fn is_about_entry(&self) -> bool {
        match self {
            Self::Filter(_) | Self::Rdn { .. } => true,
            Self::Unknown { is_about_entry, .. } => *is_about_entry,
            _ => false,
        }
    }

    /// Whether only somebody who has authenticated can answer yes.
    fn implies_users(&self) -> bool {
        matches!(
            self,
            Self::Attribute { .. }
                | Self::Group { .. }
                | Self::Owner { .. }
                | Self::Region { .. }
                | Self::SelfEntry
                | Self::Superior
                | Self::User(_)
        )
    }
}

/// The work.
pub(super) struct Evaluation<'a> {
    pub(super) schema: &'a Schema,
    pub(super) rules: &'a [Rule],
    pub(super) tree: Tree,
    pub(super) groups: Vec<Group>,
    pub(super) functions: Functions,
    pub(super) about_entry: Vec<Ask>,
    pub(super) about_who: Vec<Ask>,
    /// Which answers go together.
    pub(super) possible: Function,
    pub(super) refused: BTreeSet<Problem>,
}

pub(super) type Result<T> = std::result::Result<T, TooComplex>;
/// The functions of all privileges.
pub(super) type Masks = [Function; 8];

impl Evaluation<'_> {
    pub(super) fn asked(&self, question: Question) -> Option<&Ask> {
        if question >= WHO {
            self.about_who.get((question - WHO) as usize)
        } else {
            self.about_entry.get(question as usize)
        }
    }

    fn ask(&mut self, ask: Ask) -> Result<Function> {
        let (known, first) = if ask.is_about_entry() { (&mut self.about_entry, 0) } else { (&mut self.about_who, WHO) };
        let index = known.iter().position(|known| *known == ask).unwrap_or_else(|| {
            known.push(ask);
            known.len() - 1
        });
        if index >= QUESTIONS_MAX {
            return Err(TooComplex);
        }
        self.functions.ask(first + u32::try_from(index).map_err(|_| TooComplex)?)
    }

    fn unknown(&mut self, rule: &Rule, why: &str, is_about_entry: bool) -> Result<Function> {
        self.ask(Ask::Unknown { is_about_entry, origin: rule.origin.clone(), why: why.to_owned() })
    }

    /// Whether the entry right below `base` is named by `rdn_type`.
    fn rdn_is(&mut self, base: &Dn, rdn_type: &str, place: Place) -> Result<Function> {
        match self.tree.ancestor(self.schema, base, place) {
            Ancestor::None => Ok(Function::NEVER),
            Ancestor::Is(dn) => {
                let index = |name: &str| self.schema.attribute_type(name).map(|attribute| attribute.index);
                let avas = dn.rdn().map(|rdn| rdn.avas()).unwrap_or_default();
                Ok(Function::of(match avas {
                    [ava] => ava.attribute.eq_ignore_ascii_case(rdn_type) || index(&ava.attribute) == index(rdn_type),
                    _ => false,
                }))
            }
            Ancestor::Any => match self.tree.find(self.schema, base) {
                Some(base) => self.ask(Ask::Rdn { base, rdn_type: rdn_type.to_owned() }),
                None => Ok(Function::NEVER),
            },
        }
    }

    /// When the rule is about an entry at `place`. `is_superior`: that entry is the superior of what is asked about.
    fn target(&mut self, rule: &Rule, place: Place, is_superior: bool) -> Result<Function> {
        let mut fits = match &rule.target {
            Target::Everything => Function::ALWAYS,
            Target::Unknown(why) => self.unknown(rule, why, true)?,
            Target::Region(region) if !self.tree.is_in(self.schema, region, place) => Function::NEVER,
            Target::Region(region) => match &region.rdn_type {
                Some(rdn_type) => self.rdn_is(&region.base, rdn_type, place)?,
                None => Function::ALWAYS,
            },
        };
        if let Some(filter) = &rule.filter {
            let matches = if is_superior {
                self.unknown(rule, "with filter= the rule for children asks about the superior of an entry", true)?
            } else {
                self.ask(Ask::Filter(filter.clone()))?
            };
            fits = self.functions.both(fits, matches)?;
        }
        if let Some(why) = &rule.values {
            let unknown = self.unknown(rule, why, true)?;
            fits = self.functions.both(fits, unknown)?;
        }
        Ok(fits)
    }

    pub(super) fn users(&mut self) -> Result<Function> {
        self.functions.ask(USERS)
    }

    fn owner(&mut self, rule: &Rule, place: Place, is_superior: bool) -> Result<Function> {
        let Target::Region(region) = &rule.target else { return Ok(Function::NEVER) };
        match self.tree.ancestor(self.schema, &region.base, place) {
            Ancestor::None => Ok(Function::NEVER),
            Ancestor::Is(dn) => self.ask(Ask::User(dn)),
            Ancestor::Any => {
                let Some(base) = self.tree.find(self.schema, &region.base) else { return Ok(Function::NEVER) };
                let own = self.ask(Ask::SelfEntry)?;
                if !is_superior && place.depth == 1 && place.named == base {
                    let named = match &region.rdn_type {
                        Some(rdn_type) => self.rdn_is(&region.base, rdn_type, place)?,
                        None => Function::ALWAYS,
                    };
                    return self.functions.both(own, named);
                }
                let owner = self.ask(Ask::Owner { base, rdn_type: region.rdn_type.clone() })?;
                if is_superior { self.functions.except(owner, own) } else { Ok(owner) }
            }
        }
    }

    fn region(&mut self, rule: &Rule, region: &Region) -> Result<Function> {
        let is_root = region.base.rdns().is_empty();
        let scope = match region.depths {
            [true, false, false] if is_root => {
                let users = self.users()?;
                return self.functions.not(users);
            }
            [true, false, false] => return self.ask(Ask::User(region.base.clone())),
            _ if is_root => return self.unknown(rule, "everybody is *, who has logged in is users", false),
            [true, true, true] => Scope::Subtree,
            [false, true, true] => Scope::Subordinate,
            [false, true, false] => Scope::OneLevel,
            _ => return self.unknown(rule, "people more than one level below an entry are not told apart", false),
        };
        self.ask(Ask::Region { base: region.base.clone(), scope, rdn_type: region.rdn_type.clone() })
    }

    fn who(&mut self, rule: &Rule, who: &Who, place: Place, is_superior: bool) -> Result<Function> {
        match who {
            Who::Anyone => Ok(Function::ALWAYS),
            Who::Users => self.users(),
            Who::Anonymous => {
                let users = self.users()?;
                self.functions.not(users)
            }
            Who::Attribute(name) => match self.schema.attribute_type(name) {
                Some(attribute) if attribute.is_dn_valued() => {
                    self.ask(Ask::Attribute { name: attribute.name().to_owned(), level: u8::from(is_superior) })
                }
                _ => self.unknown(rule, &format!("values of {name} are no names of entries"), false),
            },
            Who::Domain { name, is_subtree } => {
                let mut names = vec![name.clone()];
                if *is_subtree {
                    names.push(format!("*.{name}"));
                }
                self.ask(Ask::Domain(names))
            }
            Who::Group { dn, is_nested } => self.ask(Ask::Group { dn: dn.clone(), is_nested: *is_nested }),
            Who::Ip(text) => self.ask(Ask::Ip(text.clone())),
            Who::Owner => self.owner(rule, place, is_superior),
            Who::Region(region) => self.region(rule, region),
            Who::SelfEntry => self.ask(if is_superior { Ask::Superior } else { Ask::SelfEntry }),
            Who::Ssf(0) => Ok(Function::ALWAYS),
            Who::Ssf(bits) => self.ask(Ask::Ssf(*bits)),
            Who::Unknown(why) => self.unknown(rule, why, false),
        }
    }

    fn clause(&mut self, rule: &Rule, clause: &Clause, place: Place, is_superior: bool) -> Result<Function> {
        let mut fits = Function::ALWAYS;
        for who in &clause.who {
            let who = self.who(rule, who, place, is_superior)?;
            fits = self.functions.both(fits, who)?;
        }
        if clause.is_own_value {
            let users = self.users()?;
            fits = self.functions.both(fits, users)?;
        }
        Ok(fits)
    }

    /// All privileges, as slapd comes to them. `is_own`: for the value that is the requester's name.
    pub(super) fn masks(&mut self, place: Place, group: usize, is_own: bool, is_superior: bool) -> Result<Masks> {
        let rules = self.rules;
        let about = self.groups.get(group).map(|group| group.rules.clone()).unwrap_or_default();
        let mut given = [Function::NEVER; 8];
        let mut current = [Function::NEVER; 8];
        let mut active = Function::ALWAYS;
        for (rule, _) in rules.iter().zip(about).filter(|(_, is_about)| *is_about) {
            let target = self.target(rule, place, is_superior)?;
            let mut inside = self.functions.both(active, target)?;
            if inside == Function::NEVER {
                continue;
            }
            let mut next = self.functions.except(active, target)?;
            for clause in rule.clauses.iter().filter(|clause| is_own || !clause.is_own_value) {
                let who = self.clause(rule, clause, place, is_superior)?;
                let fits = self.functions.both(inside, who)?;
                for (bit, current) in current.iter_mut().enumerate() {
                    let has = |privileges: u8| privileges & (1 << bit) != 0;
                    let new = match clause.change {
                        Change::Set(privileges) => Some(has(privileges)),
                        Change::Add(privileges) => has(privileges).then_some(true),
                        Change::Remove(privileges) => has(privileges).then_some(false),
                    };
                    if let Some(new) = new {
                        *current = self.functions.choose(fits, Function::of(new), *current)?;
                    }
                }
                match clause.control {
                    Control::Continue => {}
                    Control::Break => {
                        next = self.functions.either(next, fits)?;
                        inside = self.functions.except(inside, fits)?;
                    }
                    Control::Stop => {
                        for (given, current) in given.iter_mut().zip(current) {
                            let now = self.functions.both(fits, current)?;
                            *given = self.functions.either(*given, now)?;
                        }
                        inside = self.functions.except(inside, fits)?;
                    }
                }
            }
            active = next;
        }
        Ok(given)
    }

    /// Which answers go together: who has a name has authenticated, nobody has two, an owner is named as the rule says.
    pub(super) fn find_possible(&mut self) -> Result<()> {
        let mut possible = Function::ALWAYS;
        let users = self.users()?;
        let mut somebody = Function::NEVER;
        let mut clash = Function::NEVER;
        for index in 0..self.about_who.len() {
            let Some(ask) = self.about_who.get(index).cloned() else { continue };
            let question = self.functions.ask(WHO + u32::try_from(index).map_err(|_| TooComplex)?)?;
            if ask.implies_users() {
                let without = self.functions.except(question, users)?;
                possible = self.functions.except(possible, without)?;
            }
            if let Ask::User(_) = ask {
                let both = self.functions.both(somebody, question)?;
                clash = self.functions.either(clash, both)?;
                somebody = self.functions.either(somebody, question)?;
            }
            if let Ask::Owner { base, rdn_type: Some(rdn_type) } = ask {
                let rdn = self.ask(Ask::Rdn { base, rdn_type })?;
                let without = self.functions.except(question, rdn)?;
                possible = self.functions.except(possible, without)?;
            }
        }
        if [Ask::SelfEntry, Ask::Superior].iter().all(|ask| self.about_who.contains(ask)) {
            let (own, superior) = (self.ask(Ask::SelfEntry)?, self.ask(Ask::Superior)?);
            let both = self.functions.both(own, superior)?;
            clash = self.functions.either(clash, both)?;
        }
        self.possible = self.functions.except(possible, clash)?;
        Ok(())
    }

    /// The function without what cannot be asked of an entry at `place`; what is lost by that is told.
    pub(super) fn settle(&mut self, function: Function, place: Place, is_added: bool) -> Result<Function> {
        let mut function = self.functions.simplify(function, self.possible)?;
        for question in self.functions.questions(function) {
            let told = match self.asked(question) {
                Some(Ask::Unknown { origin, why, .. }) => Some((origin.clone(), why.clone())),
                Some(Ask::Rdn { base, rdn_type }) if *base != place.named || place.depth != 1 => {
                    let base = self.tree.dn(*base).map(ToString::to_string).unwrap_or_default();
                    let why = format!(
                        "whether the name right below {base} begins with {rdn_type}= cannot be asked of what is further \
                         below; where all names there do, nothing is lost"
                    );
                    Some(("the rules with dn.regex".to_owned(), why))
                }
                Some(Ask::Attribute { name, level: 0 }) if is_added => {
                    let why = format!("who adds an entry gets nothing by being named in its {name}; slapd gives it");
                    Some((format!("the rules with dnattr={name}"), why))
                }
                _ => None,
            };
            if let Some((origin, detail)) = told {
                self.refused.insert(Problem { origin, detail });
                function = self.functions.whatever(function, question, self.possible)?;
            }
        }
        self.functions.simplify(function, self.possible)
    }
}
