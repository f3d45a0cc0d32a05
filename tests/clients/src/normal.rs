//! What differs between two runs of one client by its nature: times, ages,
//! uids, versions, addresses. Everything else has to be equal.

use regex::Regex;

/// What is replaced, in this order.
const REPLACED: [(&str, &str); 13] = [
    // What kubectl logs of its connections.
    (r"(?m)^[IWE]\d{4} .*\n", ""),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
    (r#"(?m)(resourceVersion"?: ?|Resource Version:\s+)"?\d+"?"#, "${1}VERSION"),
    (r"https?://(127\.0\.0\.1|localhost):\d+", "SERVER"),
    (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\b3[0-2]\d{3}/", "NODEPORT/"),
    (r"(?i)\b(nodePort:\s*(<unset>\s*)?)3[0-2]\d{3}\b", "${1}NODEPORT"),
    // Ages: 5s, 2m30s, 3h; as cells they stand alone.
    (r"\b(\d+[smhdy]){1,2}(\s|$)", "AGE$2"),
    // Names that the server made.
    (r"\b(generated-)[a-z0-9]{5}\b", "${1}XXXXX"),
    (r"\b([a-z0-9-]+)\.[0-9a-f]{16}\b", "$1.HASH"),
    // Columns are as wide as what was replaced.
    (r"[ \t]{2,}", "  "),
];

/// A client's output without what differs by nature.
///
/// # Panics
/// Never: the expressions above are constant.
pub fn normal(output: &str) -> String {
    let mut out = output.to_owned();
    for (pattern, by) in REPLACED {
        out = Regex::new(pattern).expect("a constant expression").replace_all(&out, by).into_owned();
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The lines in which two normal outputs differ; none where they are equal.
#[must_use]
pub fn differences(memory: &str, real: &str) -> Option<String> {
    if memory == real {
        return None;
    }
    let (memory, real): (Vec<&str>, Vec<&str>) = (memory.lines().collect(), real.lines().collect());
    let mut out = String::new();
    for (sign, lines, others) in [("in memory", &memory, &real), ("real     ", &real, &memory)] {
        for line in lines.iter().filter(|line| !others.contains(line)) {
            out.push_str(&format!("  {sign} | {line}\n"));
        }
    }
    if out.is_empty() {
        out = format!("  the same lines in another order\n  in memory {memory:?}\n  real {real:?}\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_nature_is_taken_out_and_nothing_else() {
        let table = "NAME   AGE\na      5m3s\n";
        assert_eq!(normal(table), "NAME  AGE\na  AGE");
        assert_eq!(
            normal("resourceVersion: \"12\" uid: 3f2a0b1c-1111-2222-3333-0123456789ab"),
            "resourceVersion: VERSION uid: UID"
        );
        assert_eq!(normal("80:31234/TCP  10.96.1.2"), "80:NODEPORT/TCP  ADDRESS");
        assert_eq!(normal("replicas: 3"), "replicas: 3");
        assert_eq!(differences("a\nb", "a\nb"), None);
        assert_eq!(differences("a\nb", "a\nc").unwrap(), "  in memory | b\n  real      | c\n");
    }
}
