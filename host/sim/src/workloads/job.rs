//! Jobs: pods until enough of them have succeeded, or too many failed. A pod
//! that has ended is counted once, however often it is looked at: it is noted
//! in the status, loses its finalizer, and only then is it added up.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Look,
    change::Change,
    cluster::Cluster,
    conditions::{Condition, Conditions},
    object::{self, Kind, number, text},
    pods::{self, BURST_MAX, Ready},
};

const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const BACKOFF_LIMIT_DEFAULT: i64 = 6;

/// A job and its pods, sorted out.
struct Pods<'a> {
    job: &'a Value,
    active: Vec<&'a Value>,
    /// Those that have ended, or are about to, and still have to be counted.
    ended: Vec<&'a Value>,
    /// How many are being deleted and still run, counted or not.
    ending: usize,
    now: Timestamp,
}

/// Why a job is over.
struct Verdict {
    failed: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn new(failed: bool, reason: &str, message: &str) -> Self {
        Self { failed, reason: reason.into(), message: message.into() }
    }

    /// The condition that says that it is coming, and the one that ends the job.
    const fn conditions(failed: bool) -> (&'static str, &'static str) {
        if failed { ("FailureTarget", "Failed") } else { ("SuccessCriteriaMet", "Complete") }
    }

    /// What was decided before: it holds whatever has become of pods since.
    fn given(job: &Value) -> Option<Self> {
        let conditions = Conditions::of(job);
        [false, true].into_iter().find_map(|failed| {
            let (target, _) = Self::conditions(failed);
            let target = conditions.get(target).filter(|_| conditions.holds(target))?;
            Some(Self::new(failed, text(target, "/reason"), text(target, "/message")))
        })
    }
}

pub(super) fn look(job: &Value, cluster: &Cluster, now: Timestamp) -> Look {
    let owned = cluster.controlled_by(job, Kind::Pod);
    let (active, ended): (Vec<_>, Vec<_>) = owned.partition(|pod| pods::is_active(pod));
    let ending = ended.iter().filter(|pod| !pods::has_ended(pod)).count();
    let ended = ended.into_iter().filter(|pod| is_tracked(pod)).collect();
    let pods = Pods { job, active, ended, ending, now };
    if object::is_deleting(job) {
        let all = pods.active.iter().chain(&pods.ended);
        let released = all.filter(|pod| is_tracked(pod)).map(|pod| release(pod)).collect();
        return Look { changes: released, again_in: None };
    }
    let mut look = Look::default();
    if is_finished(job) {
        look.changes = pods.ended.iter().map(|pod| release(pod)).collect();
        look.again_in = pods.expire(&mut look.changes);
        return look;
    }
    let mut status = pods.counted(&mut look.changes);
    let verdict = pods.verdict(&status, &mut look);
    let suspended = job["spec"]["suspend"] == true;
    match &verdict {
        // Those that are stopped with it have failed, too.
        Some(verdict) if verdict.failed => look.changes.extend(pods.active.iter().map(|pod| delete(pod))),
        Some(_) => look.changes.extend(withdrawn(&pods.active)),
        None if suspended => look.changes.extend(withdrawn(&pods.active)),
        None => pods.scale(&status, &mut look.changes),
    }
    pods.conclude(&mut status, verdict.as_ref(), suspended);
    look.set_status(Kind::Job, job, status, &["ready", "terminating"]);
    look
}

/// A pod whose job is gone is released, as nobody will count it.
pub(super) fn look_at_orphan(pod: &Value, cluster: &Cluster) -> Option<Change> {
    let of_job = object::controller(pod).is_none_or(|controller| controller["kind"] == "Job");
    (of_job && is_tracked(pod) && cluster.controller_of(pod).is_none()).then(|| release(pod))
}

impl Pods<'_> {
    /// The status with what has ended meanwhile; and the pods that may go, as
    /// they are noted in it.
    fn counted(&self, changes: &mut Vec<Change>) -> Value {
        let mut status = self.job["status"].clone();
        if !status.is_object() {
            status = json!({});
        }
        for (list, total) in [("succeeded", "succeeded"), ("failed", "failed")] {
            let noted = texts(&self.job["status"]["uncountedTerminatedPods"][list]);
            let here = |uid: &&String| self.ended.iter().any(|pod| object::uid(pod) == uid.as_str());
            let (waiting, released): (Vec<_>, Vec<_>) = noted.iter().partition(here);
            let before = number(self.job, &format!("/status/{total}")).unwrap_or_default();
            status[total] = Value::from(before + i64::try_from(released.len()).unwrap_or_default());
            let new = self.ended.iter().filter(|pod| has_succeeded(pod) == (list == "succeeded"));
            let new = new.map(|pod| object::uid(pod).to_owned()).filter(|uid| !noted.contains(uid));
            changes.extend(self.ended.iter().filter(|pod| noted.contains(object::uid(pod))).map(|pod| release(pod)));
            let uids = waiting.into_iter().cloned().chain(new).collect::<Vec<_>>();
            status["uncountedTerminatedPods"][list] = if uids.is_empty() { Value::Null } else { json!(uids) };
        }
        if let Some(lists) = status["uncountedTerminatedPods"].as_object_mut() {
            lists.retain(|_, list| !list.is_null());
        }
        if self.is_indexed() {
            status["completedIndexes"] = Value::from(ranges(&self.completed_indexes()));
        }
        status
    }

    fn is_indexed(&self) -> bool {
        self.job["spec"]["completionMode"] == "Indexed"
    }

    fn completed_indexes(&self) -> BTreeSet<i64> {
        let before = text(self.job, "/status/completedIndexes");
        let mut indexes =
            before.split(',').filter(|range| !range.is_empty()).flat_map(read_range).collect::<BTreeSet<_>>();
        indexes.extend(self.ended.iter().filter(|pod| has_succeeded(pod)).filter_map(|pod| index_of(pod)));
        indexes
    }

    /// All that have succeeded or failed, counted or not yet.
    fn total(status: &Value, list: &str) -> i64 {
        let uncounted = texts(&status["uncountedTerminatedPods"][list]).len();
        status[list].as_i64().unwrap_or_default() + i64::try_from(uncounted).unwrap_or_default()
    }

    fn verdict(&self, status: &Value, look: &mut Look) -> Option<Verdict> {
        if let Some(given) = Verdict::given(self.job) {
            return Some(given);
        }
        let (succeeded, failed) = (Self::total(status, "succeeded"), Self::total(status, "failed"));
        let completions = number(self.job, "/spec/completions");
        let enough = match completions {
            Some(completions) => succeeded >= completions,
            None => succeeded > 0 && self.active.is_empty(),
        };
        if enough {
            let message = "Reached expected number of succeeded pods";
            return Some(Verdict::new(false, "CompletionsReached", message));
        }
        // A container that is restarted where it is uses up its restarts at once.
        let restarts = self
            .active
            .iter()
            .any(|pod| pod["spec"]["restartPolicy"] == "OnFailure" && pods::waits_for(pod) == Some("CrashLoopBackOff"));
        let limit = number(self.job, "/spec/backoffLimit").unwrap_or(BACKOFF_LIMIT_DEFAULT);
        if failed > limit || restarts {
            let message = "Job has reached the specified backoff limit";
            return Some(Verdict::new(true, "BackoffLimitExceeded", message));
        }
        let since = object::time(self.job, "/status/startTime")?;
        let deadline = object::seconds(self.job, "/spec/activeDeadlineSeconds")?;
        match Duration::try_from(deadline - self.now.duration_since(since)) {
            Ok(left) if !left.is_zero() => {
                look.wake_in(Some(left));
                None
            }
            _ => {
                let message = "Job was active longer than specified deadline";
                Some(Verdict::new(true, "DeadlineExceeded", message))
            }
        }
    }

    /// Makes pods that are missing, and deletes those that are too many.
    fn scale(&self, status: &Value, changes: &mut Vec<Change>) {
        let parallelism = number(self.job, "/spec/parallelism").unwrap_or(1);
        let succeeded = Self::total(status, "succeeded");
        let wanted = match number(self.job, "/spec/completions") {
            Some(completions) => parallelism.min(completions - succeeded),
            None if succeeded > 0 => i64::try_from(self.active.len()).unwrap_or_default(),
            None => parallelism,
        };
        let wanted = usize::try_from(wanted).unwrap_or_default();
        let mut given_up = self.active.clone();
        given_up.sort_by_cached_key(|pod| pods::loss(pod));
        let surplus = given_up.len().saturating_sub(wanted);
        changes.extend(withdrawn(&given_up[..surplus]));
        let missing = wanted.saturating_sub(self.active.len()).min(BURST_MAX);
        if self.is_indexed() {
            let mut taken = self.completed_indexes();
            taken.extend(self.active.iter().filter_map(|pod| index_of(pod)));
            let free = (0..number(self.job, "/spec/completions").unwrap_or_default()).filter(|at| !taken.contains(at));
            changes.extend(free.take(missing).map(|at| Change::Create(Kind::Pod, self.make(Some(at)))));
        } else {
            changes.extend((0..missing).map(|_| Change::Create(Kind::Pod, self.make(None))));
        }
    }

    fn make(&self, index: Option<i64>) -> Value {
        let (job, template) = (self.job, &self.job["spec"]["template"]);
        let mut metadata = object::template_metadata(template);
        for (label, value) in [("controller-uid", object::uid(job)), ("job-name", object::name(job))] {
            object::label(&mut metadata, label, value);
            object::label(&mut metadata, &format!("batch.kubernetes.io/{label}"), value);
        }
        metadata.insert("finalizers".into(), json!([FINALIZER]));
        let mut base = object::name(job).to_owned();
        if let Some(index) = index {
            object::label(&mut metadata, INDEX, index.to_string());
            metadata.entry("annotations").or_insert_with(|| json!({}))[INDEX] = index.to_string().into();
            base = format!("{base}-{index}");
        }
        metadata.insert("generateName".into(), format!("{base}-").into());
        let mut pod = object::owned(Kind::Pod, Kind::Job, job, metadata);
        pod["spec"] = template["spec"].clone();
        if index.is_some() {
            pod["spec"]["hostname"] = Value::from(base);
        }
        pod
    }

    /// The rest of the status: what runs now, and whether it is over.
    fn conclude(&self, status: &mut Value, verdict: Option<&Verdict>, suspended: bool) {
        let now = object::time_text(self.now);
        let mut conditions = Conditions::of(self.job);
        let set = |conditions: &mut Conditions, r#type: &str, holds, reason: &str, message: &str| {
            let new = Condition { r#type, status: holds, reason, message: message.into() };
            conditions.set(new, self.now, Value::from(now.as_str()));
        };
        let was_suspended = conditions.holds("Suspended");
        if suspended != was_suspended {
            let (reason, message) =
                if suspended { ("JobSuspended", "Job suspended") } else { ("JobResumed", "Job resumed") };
            set(&mut conditions, "Suspended", suspended, reason, message);
        }
        status["startTime"] = match &self.job["status"]["startTime"] {
            _ if suspended => Value::Null,
            Value::Null => Value::from(now.as_str()),
            since => since.clone(),
        };
        if let Some(verdict) = verdict {
            let (target, end) = Verdict::conditions(verdict.failed);
            if !conditions.holds(target) {
                set(&mut conditions, target, true, &verdict.reason, &verdict.message);
            }
            let uncounted = status["uncountedTerminatedPods"].as_object().is_some_and(|lists| !lists.is_empty());
            if self.active.is_empty() && self.ended.is_empty() && self.ending == 0 && !uncounted {
                set(&mut conditions, end, true, &verdict.reason, &verdict.message);
                if !verdict.failed {
                    status["completionTime"] = Value::from(now.as_str());
                }
            }
        }
        let over = verdict.is_some();
        status["active"] = Value::from(if over { 0 } else { self.active.len() });
        status["ready"] = Value::from(Ready::of(self.active.iter().copied(), self.job, self.now).ready);
        status["terminating"] = Value::from(self.ending);
        let conditions = conditions.into_value();
        status["conditions"] = if conditions == json!([]) { Value::Null } else { conditions };
    }

    /// Deletes a finished job when its time is over.
    fn expire(&self, changes: &mut Vec<Change>) -> Option<Duration> {
        let after = object::seconds(self.job, "/spec/ttlSecondsAfterFinished")?;
        let conditions = Conditions::of(self.job);
        let end = ["Complete", "Failed"].into_iter().find_map(|end| conditions.get(end))?;
        let since = object::time(end, "/lastTransitionTime")?;
        match Duration::try_from(after - self.now.duration_since(since)) {
            Ok(left) if !left.is_zero() => Some(left),
            _ => {
                changes.push(Change::Delete(Kind::Job, self.job.clone(), None));
                None
            }
        }
    }
}

fn is_finished(job: &Value) -> bool {
    let conditions = Conditions::of(job);
    conditions.holds("Complete") || conditions.holds("Failed")
}

fn is_tracked(pod: &Value) -> bool {
    pod["metadata"]["finalizers"].as_array().is_some_and(|finalizers| finalizers.iter().any(|it| it == FINALIZER))
}

fn has_succeeded(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Succeeded"
}

fn release(pod: &Value) -> Change {
    let mut pod = pod.clone();
    if let Some(finalizers) = pod["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    Change::Update(Kind::Pod, pod)
}

fn delete(pod: &Value) -> Change {
    Change::Delete(Kind::Pod, pod.clone(), None)
}

/// Takes back pods that are wanted no more. That is no failure of theirs, so
/// they are released first, and never counted.
fn withdrawn(pods: &[&Value]) -> Vec<Change> {
    pods.iter().flat_map(|pod| [release(pod), delete(pod)]).collect()
}

fn index_of(pod: &Value) -> Option<i64> {
    pod["metadata"]["annotations"][INDEX].as_str()?.parse().ok()
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// `0,2-4` as numbers.
fn read_range(range: &str) -> std::ops::RangeInclusive<i64> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    // An unreadable range is empty.
    first.parse().unwrap_or(1)..=last.parse().unwrap_or(0)
}

/// Numbers as `0,2-4`.
fn ranges(numbers: &BTreeSet<i64>) -> String {
    let mut ranges = Vec::<(i64, i64)>::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |(first, last): (i64, i64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ranges_and_read_again() {
        for (numbers, text) in [(vec![], ""), (vec![0, 2, 3, 4], "0,2-4"), (vec![1, 2], "1,2"), (vec![7], "7")] {
            let numbers = BTreeSet::from_iter(numbers);
            assert_eq!(ranges(&numbers), text);
            let read = text.split(',').filter(|range| !range.is_empty()).flat_map(read_range);
            assert_eq!(read.collect::<BTreeSet<_>>(), numbers);
        }
    }
}
