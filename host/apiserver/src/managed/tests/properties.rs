//! What holds whatever is applied.

use proptest::prelude::*;

use super::*;

/// What a manager may apply. Values follow from where they stand, so managers
/// may share fields but never conflict; nothing is empty, and lists are sorted.
fn any_spec() -> impl Strategy<Value = Value> {
    let letters = || prop::sample::subsequence(vec!["a", "b", "c"], 1..=3);
    let port = (prop::sample::select(vec![1, 2, 3]), any::<bool>(), any::<bool>());
    let ports = prop::collection::btree_map(port.0, (port.1, port.2), 1..=3).prop_map(|ports| {
        let port = |(port, (named, udp)): (i32, (bool, bool))| {
            let mut item = json!({"port": port, "protocol": if udp { "UDP" } else { "TCP" }});
            if named {
                item["name"] = json!(format!("p{port}"));
            }
            item
        };
        Value::Array(ports.into_iter().map(port).collect())
    });
    let option = prop::option::of::<BoxedStrategy<Value>>;
    (
        option(Just(json!("x")).boxed()),
        option(Just(json!({"a": 1, "b": 2})).boxed()),
        option(letters().prop_map(|keys| keys.into_iter().map(|k| (k, json!(k))).collect()).boxed()),
        option(letters().prop_map(|values| json!(values)).boxed()),
        option(ports.boxed()),
    )
        .prop_map(|(host, atom, m, tags, ports)| {
            let names = ["host", "atom", "m", "tags", "ports"];
            let fields = names.into_iter().zip([host, atom, m, tags, ports]);
            fields.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        })
}

fn applied(live: Option<&Value>, manager: &str, spec: &Value) -> Value {
    apply(&schema(), live, &thing(spec.clone()), &writer(manager), false).expect("equal values are no conflict")
}

/// The leaves of an applied spec, as `FieldsV1` would nest them.
fn leaves(spec: &Value) -> Value {
    let member = || json!({});
    let fields = spec.as_object().expect("an object").iter();
    let fields = fields.map(|(name, value)| {
        let below = match (name.as_str(), value) {
            ("m", Value::Object(map)) => map.keys().map(|k| (format!("f:{k}"), member())).collect(),
            ("tags", Value::Array(tags)) => tags.iter().map(|tag| (format!("v:{tag}"), member())).collect(),
            ("ports", Value::Array(ports)) => ports
                .iter()
                .map(|port| {
                    let key = json!({"port": port["port"], "protocol": port["protocol"]});
                    let item = port.as_object().expect("an object").keys();
                    let mut item: Value = item.map(|k| (format!("f:{k}"), member())).collect();
                    item["."] = member();
                    (format!("k:{key}"), item)
                })
                .collect(),
            _ => member(),
        };
        (format!("f:{name}"), below)
    });
    fields.collect()
}

proptest! {
    #[test]
    fn an_owners_set_covers_exactly_what_it_applied(one in any_spec(), two in any_spec()) {
        let live = applied(None, "one", &one);
        let live = applied(Some(&live), "two", &two);
        for (manager, spec) in [("one", one), ("two", two)] {
            let owned = owned_by(&live, manager);
            if spec == json!({}) {
                // An applied `{}` is itself a field.
                prop_assert_eq!(owned, json!({"f:spec": {}}));
            } else {
                prop_assert_eq!(owned, json!({"f:spec": leaves(&spec)}));
            }
        }
    }

    #[test]
    fn applying_twice_is_applying_once(one in any_spec(), two in any_spec()) {
        let live = applied(None, "one", &one);
        let live = applied(Some(&live), "two", &two);
        prop_assert_eq!(applied(Some(&live), "two", &two), live);
    }

    #[test]
    fn applying_nothing_removes_what_only_its_applier_owned(
        mut one in any_spec(),
        two in any_spec(),
    ) {
        // A spec that loses all it had is not as it was: it is null.
        one["host"] = json!("x");
        let alone = applied(None, "one", &one);
        let both = applied(Some(&alone), "two", &two);
        let after = applied(Some(&both), "two", &json!({}));
        prop_assert_eq!(&after["spec"], &alone["spec"]);
        prop_assert_eq!(owned_by(&after, "one"), owned_by(&both, "one"));
    }

    #[test]
    fn an_update_makes_what_it_wrote_its_own_and_no_one_elses(one in any_spec(), two in any_spec()) {
        let schema = schema();
        let live = applied(None, "one", &one);
        let mut new = live.clone();
        new["spec"] = two;
        let changed = compare(&schema, &live, &new);
        let live = update(&schema, Some(&live), new, &writer("two"));
        let set = |manager| match owned_by(&live, manager) {
            Value::Null => FieldSet::default(),
            fields => FieldSet::decode(&fields).expect("well-formed"),
        };
        prop_assert_eq!(set("two"), changed.written());
        prop_assert!(set("one").intersection(&changed.written()).is_empty());
        prop_assert!(set("one").intersection(&changed.removed).is_empty());
    }
}
