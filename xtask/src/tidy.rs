//! The house rules, as functions that list offences; `cargo xtask lint` prints them, the tests
//! of this crate demand that there are none.

mod edges;
mod lengths;
mod names;
mod shared_build;

/// Runs every rule.
pub(crate) fn lint() -> Result<String, String> {
    let offences =
        [edges::offences(), lengths::offences(), names::offences(), shared_build::offences()]
            .concat();
    if offences.is_empty() {
        Ok("the house is in order".to_owned())
    } else {
        Err(offences.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn none(offences: Vec<String>) {
        assert!(offences.is_empty(), "\n{}", offences.join("\n"));
    }

    #[test]
    fn rooms_only_look_the_way_the_architecture_allows() {
        none(edges::offences());
    }

    #[test]
    fn everything_can_be_read_at_one_go() {
        none(lengths::offences());
    }

    #[test]
    fn names_say_something_and_no_path_is_of_one_machine() {
        none(names::offences());
    }

    #[test]
    fn demo_and_tests_share_one_build_of_the_engine() {
        none(shared_build::offences());
    }
}
