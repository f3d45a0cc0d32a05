//! What there is to say of a generation that shadows: its counts and costs, then each
//! object that differs, with its diff.

use serde_json::Value;

use crate::screen::one_line;

/// The answer of a host, as people read it.
pub fn told(slot: &str, report: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let state = if report["over"] == true { "shadows no more" } else { "shadows what serves" };
    let mut lines = vec![format!("{slot}: {state}")];
    let mut say = |what: &str, said: String| lines.push(format!("  {what:<12} {said}"));
    say("generation", text(&report["generation"]));
    let [tried, changing, failing] = ["tried", "changing", "failing"].map(|name| number(&report[name]));
    say("objects", format!("{tried} tried; it would change {changing}, and fails for {failing}"));
    let differences = report["differences"].as_object().into_iter().flatten();
    differences.for_each(|(kind, count)| say(&one_line(kind), format!("{count} objects")));
    say("calls", format!("{}, and {} dropped", number(&report["calls"]), number(&report["dropped"])));
    let [cost, serving] = ["cost", "servingCost"].map(|side| &report[side]);
    for (name, what) in [("p50Us", "half within"), ("p99Us", "99 % within")] {
        let ms = |cost: &Value| number(&cost[name]) as f64 / 1000.0;
        say(what, format!("{:.2} ms, serving {:.2} ms", ms(cost), ms(serving)));
    }
    let kib = |cost: &Value| number(&cost["memoryPeakBytes"]) >> 10;
    say("memory", format!("{} KiB at most, serving {} KiB", kib(cost), kib(serving)));
    for object in report["objects"].as_array().into_iter().flatten() {
        lines.push(text(&object["object"]));
        let differences = object["differences"].as_array().map_or(&[][..], Vec::as_slice);
        if differences.is_empty() {
            lines.push("  no difference".into());
        }
        lines.extend(differences.iter().map(|difference| format!("  {}", text(difference))));
        lines.extend(object["diff"].as_str().unwrap_or_default().lines().map(one_line));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_counts_stand_above_the_diffs() {
        let cost = |p99: u64| json!({ "p50Us": 100, "p99Us": p99, "memoryPeakBytes": 2048 });
        let diff = "--- serving ConfigMap a/b\n+++ shadow ConfigMap a/b\n-  k: 1\n+  k: 2\u{1b}[2J\n";
        let object = json!({ "object": "Site.example.dev a/anna", "differences": ["changes ConfigMap a/b (data.k)"],
            "diff": diff });
        let report = json!({ "generation": "3f2a", "tried": 6, "changing": 1, "failing": 0, "over": false,
            "differences": { "changes": 1 }, "calls": 7, "dropped": 2, "cost": cost(900), "servingCost": cost(800),
            "objects": [object, { "object": "Site.example.dev a/ben", "differences": [] }] });
        let expected = [
            "site: shadows what serves",
            "  generation   3f2a",
            "  objects      6 tried; it would change 1, and fails for 0",
            "  changes      1 objects",
            "  calls        7, and 2 dropped",
            "  half within  0.10 ms, serving 0.10 ms",
            "  99 % within  0.90 ms, serving 0.80 ms",
            "  memory       2 KiB at most, serving 2 KiB",
            "Site.example.dev a/anna",
            "  changes ConfigMap a/b (data.k)",
            "--- serving ConfigMap a/b",
            "+++ shadow ConfigMap a/b",
            "-  k: 1",
            "+  k: 2\u{fffd}[2J",
            "Site.example.dev a/ben",
            "  no difference",
            "",
        ];
        assert_eq!(told("site", &report), expected.join("\n"));
    }
}
