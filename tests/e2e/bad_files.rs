//! Files that cannot be served: each is refused with the file, what was found
//! and what was expected, and what served before goes on.

use trimtab_harness::eventually;

use crate::support::{self, Host, MISBEHAVE, SITE, SOON, Scene};

#[tokio::test]
async fn a_bad_file_is_refused_by_name_and_the_last_good_one_serves() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("raw", "site.wasm");
    scene.create_site("anna", "first").await;
    let host = scene.host().await;
    scene.page_is("anna", "first").await;
    let good = generation(&host, "site").await;

    let whole = support::plugin("raw");
    let cases = [
        ("a text", b"this is no plugin".to_vec(), "this is not WebAssembly: it begins with \"this is no plugi\""),
        ("an empty file", Vec::new(), "this file is empty"),
        ("half a file", whole[..whole.len() / 2].to_vec(), "damaged or cut short"),
        ("another world", support::plugin("other-world"), "it exports greet"),
        ("another version", support::plugin("wrong-version"), "trimtab:plugin/controller@0.9.0"),
    ];
    for (at, (what, content, found)) in cases.into_iter().enumerate() {
        scene.write("site.wasm", content);
        let refused = format!("{what} is refused for what it is");
        let why = eventually(&refused, SOON, async || {
            let slot = host.slot("site").await?;
            let why = slot["reason"].as_str().filter(|why| slot["refused"] == true && why.contains(found))?;
            Some(why.to_owned())
        })
        .await;
        assert!(why.starts_with("site.wasm: "), "{what}: {why}");
        assert!(why.contains("expected") || why.contains("cut short"), "{what}: {why}");

        assert_eq!(generation(&host, "site").await, good, "{what}: the last good one serves");
        let page = format!("served beside {what}");
        scene.edit_page("anna", &page).await;
        scene.page_is("anna", &page).await;
        let refusals = host.metric("trimtab_plugin_loads_total", &[("result", "refused")]).await;
        assert_eq!(refusals as usize, at + 1, "{what}: it is tried once");
    }

    scene.copy("site", "site.wasm");
    let better = async || (generation(&host, "site").await > good).then_some(());
    eventually("a good one is swapped in", SOON, better).await;
}

#[tokio::test]
async fn a_plugin_that_does_not_describe_itself_is_refused_and_the_last_good_one_serves() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("first", "").await;
    let host = scene.host().await;
    scene.sees("it serves", &scene.config_map("first"), |_| Some(())).await;
    let good = generation(&host, "misbehave").await;

    for (fault, found) in [
        ("trap", "the plugin trapped"),
        ("loop", "ms of CPU time"),
        ("alloc", "bytes of memory"),
        ("err", "this config is not to my liking"),
        ("huge", "more than the 4194304 bytes"),
        ("not-json", "JSON"),
        ("unknown-key", "colour"),
        ("no-role", "role"),
        ("two-objects", "objects"),
        ("bad-selector", "labelSelector"),
        ("child-twice", "children"),
        ("unknown-update", "sometimes"),
        ("too-many-children", "children"),
        ("read-with-bad-namespace", "namespace"),
        ("finalizes-not-a-boolean", "finalizes"),
        ("resync-zero", "resyncSeconds"),
    ] {
        scene.write("misbehave.toml", format!("[config]\ndescribe = \"{fault}\"\n"));
        eventually(&format!("describe = {fault:?} is refused"), SOON, async || {
            let slot = host.slot("misbehave").await?;
            let why = slot["reason"].as_str().filter(|_| slot["refused"] == true)?;
            (why.starts_with("misbehave.wasm: ") && why.contains(found)).then_some(())
        })
        .await;
        assert_eq!(generation(&host, "misbehave").await, good, "{fault}");
    }

    scene.write("misbehave.toml", "[limits]\nmemory = 1\n");
    let why = async || {
        let slot = host.slot("misbehave").await?;
        slot["reason"].as_str().filter(|why| why.contains("limits.memory: unknown key")).map(str::to_owned)
    };
    let why = eventually("a bad policy is refused", SOON, why).await;
    assert!(why.contains("misbehave.toml"), "{why}");

    scene.create_misbehave("second", "").await;
    scene.sees("the last good one serves", &scene.config_map("second"), |_| Some(())).await;
}

#[tokio::test]
async fn of_two_lineages_for_one_kind_the_later_one_is_refused_after_a_restart_too() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("raw", "one.wasm");
    scene.create_site("anna", "first").await;
    let mut host = scene.host().await;
    scene.page_is("anna", "first").await;

    // By its name it would come first.
    scene.copy("site", "another.wasm");
    names_the_first(&host).await;
    host.terminate();
    assert_eq!(host.ends_within(SOON).await.code(), Some(0));

    let host = scene.host().await;
    host.becomes("one", "Serving").await;
    names_the_first(&host).await;
    scene.edit_page("anna", "second").await;
    scene.page_is("anna", "second").await;
    let child = scene.api.fetch(&scene.config_map("anna")).await;
    assert_eq!(child["metadata"]["labels"]["trimtab.dev/plugin"], "one");

    std::fs::remove_file(scene.folder().join("one.wasm")).expect("the folder is ours");
    host.becomes("another", "Serving").await;
}

async fn names_the_first(host: &Host) {
    let why = host.becomes("another", "Refused").await;
    assert!(why.contains("lineage one") && why.contains("another is refused"), "{why}");
    assert_eq!(host.slot("another").await.expect("it has a file")["refused"], true);
    assert_eq!(host.logged("refused").len(), 1, "it is told once");
    assert!(host.metric("trimtab_plugin_slots", &[("state", "Refused")]).await >= 1.0);
    eventually("a refused plugin does not unready", SOON, async || host.ready().await.ok()).await;
}

async fn generation(host: &Host, slot: &str) -> u64 {
    let slot = host.slot(slot).await.expect("it has a file");
    slot["generation"].as_u64().unwrap_or_else(|| panic!("nothing serves: {slot}"))
}
