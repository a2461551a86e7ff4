//! Functions of yes-and-no questions, each kept once (reduced ordered binary decision diagrams).
//!
//! What an ordered list of rules grants is a function of questions about who asks and what is asked about. Kept so, two
//! ways to say the same are the same number, "always" and "never" are seen as such, and "whatever the answer to this
//! question is" can be computed: that is what lets a question that cannot be asked here be left out without giving more.

use hashbrown::HashMap;

/// Most nodes; more is refused as too complex. Some megabytes.
const NODES_MAX: usize = 200_000;

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Function(u32);

impl Function {
    pub(super) const NEVER: Self = Self(0);
    pub(super) const ALWAYS: Self = Self(1);

    pub(super) fn of(truth: bool) -> Self {
        if truth { Self::ALWAYS } else { Self::NEVER }
    }
}

/// A question, by its number: questions of lower numbers are asked first.
pub(super) type Question = u32;

/// More than [`NODES_MAX`] nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooComplex;

/// A function by its first question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Node {
    pub(super) question: Question,
    /// When the answer is no.
    pub(super) no: Function,
    /// When the answer is yes.
    pub(super) yes: Function,
}

/// All functions at work.
#[derive(Debug, Default)]
pub(super) struct Functions {
    nodes: Vec<Node>,
    known: HashMap<Node, Function>,
    chosen: HashMap<(Function, Function, Function), Function>,
}

type Result<T> = std::result::Result<T, TooComplex>;

impl Functions {
    /// The node; `None` for the constants.
    pub(super) fn node(&self, function: Function) -> Option<Node> {
        let index = (function.0 as usize).checked_sub(2)?;
        self.nodes.get(index).copied()
    }

    fn make(&mut self, question: Question, no: Function, yes: Function) -> Result<Function> {
        if no == yes {
            return Ok(no);
        }
        let node = Node { question, no, yes };
        if let Some(known) = self.known.get(&node) {
            return Ok(*known);
        }
        if self.nodes.len() >= NODES_MAX {
            return Err(TooComplex);
        }
        let function = Function(u32::try_from(self.nodes.len() + 2).map_err(|_| TooComplex)?);
        self.nodes.push(node);
        self.known.insert(node, function);
        Ok(function)
    }

    /// The question itself.
    pub(super) fn ask(&mut self, question: Question) -> Result<Function> {
        self.make(question, Function::NEVER, Function::ALWAYS)
    }

    /// The function when the answer to `question` is known; `question` is its first, or none of its own.
    fn branch(&self, function: Function, question: Question, answer: bool) -> Function {
        match self.node(function) {
            Some(node) if node.question == question => {
                if answer {
                    node.yes
                } else {
                    node.no
                }
            }
            _ => function,
        }
    }

    fn first(&self, functions: &[Function]) -> Option<Question> {
        functions.iter().filter_map(|function| self.node(*function)).map(|node| node.question).min()
    }

    /// `yes` where `condition` holds, else `no`.
    pub(super) fn choose(&mut self, condition: Function, yes: Function, no: Function) -> Result<Function> {
        match (condition, yes, no) {
            (Function::ALWAYS, _, _) => return Ok(yes),
            (Function::NEVER, _, _) => return Ok(no),
            (_, Function::ALWAYS, Function::NEVER) => return Ok(condition),
            _ if yes == no => return Ok(yes),
            _ => {}
        }
        if let Some(known) = self.chosen.get(&(condition, yes, no)) {
            return Ok(*known);
        }
        let Some(question) = self.first(&[condition, yes, no]) else { return Ok(no) };
        let half = |functions: &mut Self, answer| {
            let [condition, yes, no] = [condition, yes, no].map(|part| functions.branch(part, question, answer));
            functions.choose(condition, yes, no)
        };
        let (without, with) = (half(self, false)?, half(self, true)?);
        let made = self.make(question, without, with)?;
        self.chosen.insert((condition, yes, no), made);
        Ok(made)
    }

    pub(super) fn not(&mut self, function: Function) -> Result<Function> {
        self.choose(function, Function::NEVER, Function::ALWAYS)
    }

    pub(super) fn both(&mut self, one: Function, other: Function) -> Result<Function> {
        self.choose(one, other, Function::NEVER)
    }

    pub(super) fn either(&mut self, one: Function, other: Function) -> Result<Function> {
        self.choose(one, Function::ALWAYS, other)
    }

    pub(super) fn except(&mut self, one: Function, other: Function) -> Result<Function> {
        self.choose(other, Function::NEVER, one)
    }

    /// The function when the answer to a question is known.
    pub(super) fn given(&mut self, function: Function, question: Question, answer: bool) -> Result<Function> {
        let Some(node) = self.node(function).filter(|node| node.question <= question) else { return Ok(function) };
        if node.question == question {
            return Ok(if answer { node.yes } else { node.no });
        }
        let no = self.given(node.no, question, answer)?;
        let yes = self.given(node.yes, question, answer)?;
        self.make(node.question, no, yes)
    }

    /// What holds whatever the answer to a question is, as far as `possible` lets it be.
    pub(super) fn whatever(&mut self, function: Function, question: Question, possible: Function) -> Result<Function> {
        let free = self.choose(possible, function, Function::ALWAYS)?;
        let (no, yes) = (self.given(free, question, false)?, self.given(free, question, true)?);
        self.both(no, yes)
    }

    /// A simpler function that is the same wherever `possible` holds.
    pub(super) fn simplify(&mut self, function: Function, possible: Function) -> Result<Function> {
        let Some(question) = self.first(&[function, possible]) else { return Ok(function) };
        if possible == Function::ALWAYS || possible == Function::NEVER || self.node(function).is_none() {
            return Ok(function);
        }
        let (possible_no, possible_yes) =
            (self.branch(possible, question, false), self.branch(possible, question, true));
        let (no, yes) = (self.branch(function, question, false), self.branch(function, question, true));
        if possible_no == Function::NEVER {
            return self.simplify(yes, possible_yes);
        }
        if possible_yes == Function::NEVER {
            return self.simplify(no, possible_no);
        }
        if no == yes {
            let possible = self.either(possible_no, possible_yes)?;
            return self.simplify(function, possible);
        }
        let (no, yes) = (self.simplify(no, possible_no)?, self.simplify(yes, possible_yes)?);
        self.make(question, no, yes)
    }

    /// The questions that the answer depends on, ascending.
    pub(super) fn questions(&self, function: Function) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut seen = hashbrown::HashSet::new();
        let mut left = vec![function];
        while let Some(function) = left.pop() {
            if let Some(node) = self.node(function)
                && seen.insert(function)
            {
                questions.push(node.question);
                left.extend([node.no, node.yes]);
            }
        }
        questions.sort_unstable();
        questions.dedup();
        questions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_one_number() {
        let mut functions = Functions::default();
        let (a, b) = (functions.ask(1).unwrap(), functions.ask(2).unwrap());
        let one = functions.either(a, b).unwrap();
        let (not_a, not_b) = (functions.not(a).unwrap(), functions.not(b).unwrap());
        let neither = functions.both(not_a, not_b).unwrap();
        assert_eq!(functions.not(neither), Ok(one));
        assert_eq!(functions.either(one, not_a), Ok(Function::ALWAYS));
        assert_eq!(functions.questions(one), [1, 2]);
    }

    #[test]
    fn whatever_the_answer_gives_what_both_answers_give() {
        let mut functions = Functions::default();
        let (unknown, owner, users) = (functions.ask(0).unwrap(), functions.ask(1).unwrap(), functions.ask(2).unwrap());
        let function = functions.choose(unknown, owner, users).unwrap();
        let kept = functions.whatever(function, 0, Function::ALWAYS).unwrap();
        assert_eq!(Ok(kept), functions.both(owner, users));
        // An owner implies what is not known: then owners keep what they have.
        let not_owner = functions.not(owner).unwrap();
        let possible = functions.either(not_owner, unknown).unwrap();
        let nobody_else = functions.choose(unknown, owner, Function::NEVER).unwrap();
        assert_eq!(functions.whatever(nobody_else, 0, possible), Ok(owner));
    }

    #[test]
    fn a_function_is_simpler_where_less_is_possible() {
        let mut functions = Functions::default();
        let (own, users) = (functions.ask(1).unwrap(), functions.ask(2).unwrap());
        let either = functions.either(own, users).unwrap();
        let not_own = functions.not(own).unwrap();
        let possible = functions.either(not_own, users).unwrap();
        let both = functions.both(own, users).unwrap();
        assert_eq!(functions.simplify(both, possible), Ok(own));
        assert_ne!(functions.simplify(either, possible), Ok(own));
    }
}
