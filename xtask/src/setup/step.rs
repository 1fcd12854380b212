//! One step of the set-up: look, install if need be, look again.

pub(crate) trait Step {
    /// What it provides, in a few words.
    fn name(&self) -> &str;

    /// `Ok` says what is there, `Err` what is missing.
    fn look(&self) -> Result<String, String>;

    fn install(&self) -> anyhow::Result<()>;

    /// What a person can do when installing has failed or is not possible here.
    fn remedy(&self) -> String;
}

/// Says how it goes, and whether the step's thing is there in the end.
pub(crate) fn run(step: &dyn Step) -> bool {
    let name = step.name();
    let missing = match step.look() {
        Ok(found) => {
            println!("setup: {name}: already there ({found})");
            return true;
        }
        Err(missing) => missing,
    };
    println!("setup: {name}: installing ({missing}) …");
    let failure = match step.install() {
        Err(error) => format!("{error:#}"),
        Ok(()) => match step.look() {
            Ok(found) => {
                println!("setup: {name}: installed ({found})");
                return true;
            }
            Err(missing) => format!("after installing: {missing}"),
        },
    };
    println!("setup: {name}: FAILED: {failure}");
    println!("setup: {name}: remedy: {}", step.remedy());
    false
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    struct Fake {
        present: Cell<bool>,
        installs: Cell<u32>,
        outcome: Outcome,
    }

    enum Outcome {
        Works,
        Fails,
        DoesNothing,
    }

    impl Fake {
        fn new(present: bool, outcome: Outcome) -> Self {
            Self {
                present: Cell::new(present),
                installs: Cell::new(0),
                outcome,
            }
        }
    }

    impl Step for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn look(&self) -> Result<String, String> {
            if self.present.get() {
                Ok("here".into())
            } else {
                Err("gone".into())
            }
        }

        fn install(&self) -> anyhow::Result<()> {
            self.installs.set(self.installs.get() + 1);
            match self.outcome {
                Outcome::Works => self.present.set(true),
                Outcome::Fails => bail!("no network"),
                Outcome::DoesNothing => {}
            }
            Ok(())
        }

        fn remedy(&self) -> String {
            "try again".into()
        }
    }

    #[test]
    fn what_is_there_is_not_installed_again() {
        let step = Fake::new(true, Outcome::Works);
        assert!(run(&step));
        assert_eq!(step.installs.get(), 0);
    }

    #[test]
    fn what_is_missing_is_installed_once() {
        let step = Fake::new(false, Outcome::Works);
        assert!(run(&step) && run(&step));
        assert_eq!(step.installs.get(), 1);
    }

    #[test]
    fn a_step_fails_when_installing_does_or_changes_nothing() {
        assert!(!run(&Fake::new(false, Outcome::Fails)));
        assert!(!run(&Fake::new(false, Outcome::DoesNothing)));
    }
}
