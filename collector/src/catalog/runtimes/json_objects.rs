//! JSON objects out of a stream of bytes.
//!
//! In: bytes as they come. Out: the bytes of one object after the other, whether lines are between them
//! (Podman) or nothing (Docker). Never here: more bytes than one object may have, and one read has.

/// Finds where objects end.
#[derive(Debug)]
pub struct ObjectSplitter {
    limit: usize,
    bytes: Vec<u8>,
    /// How many of `bytes` have been looked at.
    looked_at: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// How many there were since the last object.
    blanks: usize,
    problem: Option<SplitProblem>,
}

/// Why no more objects are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitProblem {
    /// One has more bytes than this.
    TooLong(usize),
    /// There is something else between them.
    NotAnObject,
}

impl ObjectSplitter {
    /// Of objects of at most so many bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: Vec::new(),
            looked_at: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            blanks: 0,
            problem: None,
        }
    }

    /// More bytes. All objects in the ones before must have been taken.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.problem.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The first whole object.
    pub fn take_object(&mut self) -> Option<Vec<u8>> {
        if self.problem.is_some() {
            return None;
        }
        while let Some(&byte) = self.bytes.get(self.looked_at) {
            self.looked_at += 1;
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => {
                    if self.depth == 0 {
                        self.forget_before(self.looked_at - 1);
                        self.blanks = 0;
                    }
                    self.depth += 1;
                }
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let rest = self.bytes.split_off(self.looked_at);
                        self.looked_at = 0;
                        let object = std::mem::replace(&mut self.bytes, rest);
                        return self.within(object.len()).then_some(object);
                    }
                }
                // Go sends NUL nowhere; blanks are what is between lines.
                b' ' | b'\t' | b'\r' | b'\n' if self.depth > 0 => {}
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.blanks += 1;
                    if self.blanks > self.limit {
                        return self.stop(SplitProblem::TooLong(self.limit));
                    }
                }
                _ if self.depth > 0 => {}
                _ => return self.stop(SplitProblem::NotAnObject),
            }
        }
        if self.depth == 0 {
            self.forget_before(self.looked_at);
        } else if !self.within(self.bytes.len()) {
            return None;
        }
        None
    }

    /// Whether it can go on.
    pub fn check(&self) -> Result<(), SplitProblem> {
        self.problem.map_or(Ok(()), Err)
    }

    /// Whether an object has begun that has not ended.
    pub(super) const fn is_inside(&self) -> bool {
        self.depth > 0
    }

    fn within(&mut self, length: usize) -> bool {
        if length > self.limit {
            self.stop(SplitProblem::TooLong(self.limit));
        }
        self.problem.is_none()
    }

    fn stop(&mut self, problem: SplitProblem) -> Option<Vec<u8>> {
        self.problem = Some(problem);
        self.bytes = Vec::new();
        None
    }

    fn forget_before(&mut self, end: usize) {
        self.bytes.drain(..end);
        self.looked_at -= end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All objects of a text that comes in pieces of `size` bytes.
    fn split(text: &str, size: usize) -> (Vec<String>, ObjectSplitter) {
        let mut splitter = ObjectSplitter::new(64);
        let mut objects = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            splitter.extend(piece);
            while let Some(object) = splitter.take_object() {
                objects.push(String::from_utf8(object).unwrap());
            }
        }
        (objects, splitter)
    }

    #[test]
    fn objects_are_found_wherever_the_reads_end() {
        let text = "{\"a\":{\"b\":\"}{\\\"\\\\\"}}{}\r\n\n{\"é\":[{}]} ";
        for size in 1..=text.len() {
            let (objects, splitter) = split(text, size);
            assert_eq!(
                objects,
                ["{\"a\":{\"b\":\"}{\\\"\\\\\"}}", "{}", "{\"é\":[{}]}"],
                "{size}"
            );
            assert_eq!(splitter.check(), Ok(()));
            assert!(!splitter.is_inside());
            assert!(splitter.bytes.is_empty());
        }
    }

    #[test]
    fn an_object_that_is_too_long_ends_it_and_costs_no_memory() {
        for size in [1, 10, 1000] {
            let text = format!("{{}}{{\"a\":\"{}\"}}{{}}", "x".repeat(100));
            let (objects, splitter) = split(&text, size);
            assert_eq!(objects, ["{}"], "{size}");
            assert_eq!(splitter.check(), Err(SplitProblem::TooLong(64)));
            assert_eq!(splitter.bytes.capacity(), 0);
        }
    }

    #[test]
    fn what_is_no_object_ends_it() {
        for text in ["{}[", "{}}", "null", "\"{}\"", "{}\0"] {
            let (_, splitter) = split(text, 1);
            assert_eq!(splitter.check(), Err(SplitProblem::NotAnObject), "{text}");
        }
        assert!(split("{\"a\":", 2).1.is_inside());
    }
}
