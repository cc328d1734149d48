//! What to say of a namespace's Services, and when: pure, it is told the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What does not last so long was only on its way: a Service before its Pods, a Pod before its process.
const LASTS: Duration = Duration::from_secs(10);
/// What lasts is said again this often: the API server forgets Events after an hour.
const AGAIN: Duration = Duration::from_secs(900);
/// What comes and goes, or changes its words, is not said more often than this.
const CALM: Duration = Duration::from_secs(60);
/// So many at once; the others the next time.
const MOST: usize = 20;

/// A Service's name and a cause's.
type Trouble = (String, &'static str);

/// One thing to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) service: String,
    pub(super) cause: &'static str,
    pub(super) message: String,
}

/// What has been found and said.
#[derive(Debug, Default)]
pub(super) struct Notes {
    known: BTreeMap<Trouble, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Since when it has been so; `None` while it is not.
    since: Option<Instant>,
    said: Option<(Instant, String)>,
}

impl Notes {
    /// What is to be said now that this is wrong, and when to look again, if time itself changes something.
    pub(super) fn due(
        &mut self,
        wrong: BTreeMap<Trouble, String>,
        now: Instant,
    ) -> (Vec<Due>, Option<Duration>) {
        for (trouble, known) in &mut self.known {
            known.since = known.since.filter(|_| wrong.contains_key(trouble));
        }
        let (mut due, mut again) = (Vec::new(), None::<Duration>);
        for (trouble, message) in wrong {
            let known = self.known.entry(trouble.clone()).or_default();
            let since = *known.since.get_or_insert(now);
            let mut wait = known.wait(since, &message, now);
            if wait.is_zero() && due.len() < MOST {
                known.said = Some((now, message.clone()));
                due.push(Due { service: trouble.0, cause: trouble.1, message });
                wait = AGAIN;
            }
            let wait = wait.max(Duration::from_secs(1));
            again = Some(again.map_or(wait, |again| again.min(wait)));
        }
        let recent = |said: &(Instant, String)| now.saturating_duration_since(said.0) < CALM;
        self.known.retain(|_, known| known.since.is_some() || known.said.as_ref().is_some_and(recent));
        (due, again)
    }
}

impl Known {
    /// How long until it may be said.
    fn wait(&self, since: Instant, message: &str, now: Instant) -> Duration {
        let lasted = LASTS.saturating_sub(now.saturating_duration_since(since));
        let Some((at, said)) = &self.said else { return lasted };
        let news = said != message || since > *at;
        let pause = if news { CALM } else { AGAIN };
        lasted.max(pause.saturating_sub(now.saturating_duration_since(*at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(message: &str) -> BTreeMap<Trouble, String> {
        BTreeMap::from([(("web".to_owned(), "not-ready"), message.to_owned())])
    }

    /// What is said at each second when this is wrong then.
    fn said(script: &[(u64, Option<&str>)]) -> Vec<(u64, String)> {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let mut all = Vec::new();
        for (second, message) in script {
            let now = start + Duration::from_secs(*second);
            let (due, _) = notes.due(message.map(wrong).unwrap_or_default(), now);
            all.extend(due.into_iter().map(|due| (*second, due.message)));
        }
        all
    }

    #[test]
    fn what_lasts_is_said_once_and_again_much_later() {
        let a = Some("a");
        assert_eq!(said(&[(0, a), (9, a)]), []);
        let script = [(0, a), (10, a), (11, a), (70, a), (909, a), (910, a)];
        assert_eq!(said(&script), [(10, "a".into()), (910, "a".into())]);
    }

    #[test]
    fn what_does_not_last_is_not_said() {
        assert_eq!(said(&[(0, Some("a")), (8, None), (9, Some("a")), (18, Some("a")), (20, None)]), []);
    }

    #[test]
    fn other_words_and_a_return_wait_a_minute() {
        let (a, b) = (Some("a"), Some("b"));
        assert_eq!(said(&[(0, a), (10, a), (12, b), (69, b), (70, b)]), [(10, "a".into()), (70, "b".into())]);
        assert_eq!(
            said(&[(0, a), (10, a), (12, None), (20, a), (30, a), (70, a)]),
            [(10, "a".into()), (70, "a".into())]
        );
    }

    #[test]
    fn it_says_when_to_look_again() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        assert_eq!(notes.due(wrong("a"), start).1, Some(LASTS));
        assert_eq!(notes.due(wrong("a"), start + LASTS).1, Some(AGAIN));
        assert_eq!(notes.due(BTreeMap::new(), start + AGAIN).1, None);
        assert!(notes.known.is_empty(), "forgotten");
    }

    #[test]
    fn many_are_said_little_by_little() {
        let (mut notes, start) = (Notes::default(), Instant::now());
        let many: BTreeMap<Trouble, String> =
            (0..50).map(|n| ((format!("web-{n:02}"), "not-ready"), "a".to_owned())).collect();
        notes.due(many.clone(), start);
        let counts: Vec<usize> =
            (10..14).map(|s| notes.due(many.clone(), start + Duration::from_secs(s)).0.len()).collect();
        assert_eq!(counts, [20, 20, 10, 0]);
    }
}
