//! `trimtab plugins`, `trimtab why`, `trimtab shadow` and `trimtab rollback`: what a running
//! host says at its admin interface.

mod shadow;

use anyhow::{Context, bail};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    admin,
    cli::{AskArgs, PluginsArgs, RollbackArgs, ShadowArgs, WhyArgs},
    screen::one_line,
};

/// Prints the slots as a table.
pub fn plugins(args: &PluginsArgs) -> anyhow::Result<()> {
    let answer = ask(&args.ask, Method::GET, "/plugins")?;
    print!("{}", if args.ask.json { answer } else { table(&serde_json::from_str::<Vec<Value>>(&answer)?) });
    Ok(())
}

/// Prints what there is to say of an object.
pub fn why(args: &WhyArgs) -> anyhow::Result<()> {
    let (kind, name) = kind_and_name(&args.object)?;
    let mut query = form_urlencoded::Serializer::new("/why?".to_owned());
    query.append_pair("kind", kind).append_pair("namespace", &args.namespace).append_pair("name", name);
    let answer = ask(&args.ask, Method::GET, &query.finish())?;
    print!("{}", if args.ask.json { answer } else { told(&serde_json::from_str(&answer)?) });
    Ok(())
}

/// Prints what a new generation that shadows would do otherwise.
pub fn shadow(args: &ShadowArgs) -> anyhow::Result<()> {
    let mut query = form_urlencoded::Serializer::new("/shadow?".to_owned());
    query.append_pair("slot", &args.slot);
    if let Some(object) = &args.object {
        let (kind, name) = kind_and_name(object)?;
        query.append_pair("kind", kind).append_pair("namespace", &args.namespace).append_pair("name", name);
    }
    let answer = ask(&args.ask, Method::GET, &query.finish())?;
    print!("{}", if args.ask.json { answer } else { shadow::told(&args.slot, &serde_json::from_str(&answer)?) });
    Ok(())
}

fn kind_and_name(object: &str) -> anyhow::Result<(&str, &str)> {
    object.split_once('/').with_context(|| format!("{object:?} is no object: KIND/NAME is wanted, such as Site/anna"))
}

/// Has a slot go back to what served there before, and prints what was begun.
pub fn roll_back(args: &RollbackArgs) -> anyhow::Result<()> {
    let mut query = form_urlencoded::Serializer::new("/rollback?".to_owned());
    query.append_pair("slot", &args.slot);
    print!("{}", ask(&args.ask, Method::POST, &query.finish())?);
    Ok(())
}

/// What a host answers to a request. The error is what it says instead.
fn ask(args: &AskArgs, method: Method, path: &str) -> anyhow::Result<String> {
    let AskArgs { address, token_file, .. } = args;
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, address);
    if let Some(file) = token_file {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", admin::token(file)?));
    }
    let request = request.body(Empty::<Bytes>::new()).context("the token cannot stand in a header")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await;
        let stream = stream.with_context(|| format!("no host answers at {address}; --admin says where it does"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.with_context(|| format!("asking {address}"))?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status != StatusCode::OK {
            bail!("{address}: {}", if body.is_empty() { status.as_str() } else { body.trim_end() });
        }
        Ok(body)
    })
}

const COLUMNS: [&str; 8] = ["INSTANCE", "PLUGIN", "KIND", "VERSION", "STATE", "OBJECTS", "FAILING", "REASON"];

/// A line for each slot, as kubectl has them.
fn table(slots: &[Value]) -> String {
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let rows = slots.iter().map(|slot| {
        let count = |state: &str| slot["objects"][state].as_u64().unwrap_or_default();
        let objects = ["settled", "waiting", "failing", "other"].into_iter().map(count).sum::<u64>().to_string();
        let (instance, failing) = (text(&slot["instanceId"]), count("failing").to_string());
        let [stem, kind, version, state, reason] =
            ["stem", "kind", "version", "state", "reason"].map(|name| text(&slot[name]));
        [instance, stem, kind, version, state, objects, failing, reason]
    });
    let rows = [COLUMNS.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// What is said of an object: a line for each thing, under its plugin.
fn told(why: &Value) -> String {
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let mut lines = vec![text(&why["object"])];
    lines.extend(why["child"].as_str().map(|child| format!("  as a child: {}", one_line(child))));
    let plugins = why["plugins"].as_array().map_or(&[][..], Vec::as_slice);
    if plugins.is_empty() {
        lines.push("  no plugin of this host reconciles its kind".into());
    }
    for plugin in plugins {
        lines.push(format!("  {}: {}", text(&plugin["lineage"]), text(&plugin["state"])));
        let mut say = |what: &str, said: String| lines.push(format!("    {what:<12} {said}"));
        if let Some(reason) = plugin["reason"].as_str() {
            say("because", one_line(reason));
        }
        if let Some(slot) = plugin["slot"].as_str() {
            say("served by", format!("{}, generation {}", one_line(slot), plugin["generation"]));
        }
        for (name, what) in [("children", "child"), ("lookedUp", "looked up"), ("wrote", "wrote")] {
            plugin[name].as_array().into_iter().flatten().for_each(|item| say(what, text(item)));
        }
        for (name, what, unit) in [
            ("wroteSecondsAgo", "that was", " s ago"),
            ("failures", "failed", " times in a row"),
            ("nextLookInSeconds", "next look", " s from now"),
        ] {
            if let Some(number) = plugin[name].as_u64() {
                say(what, format!("{number}{unit}"));
            }
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn slots_stand_under_their_columns() {
        let objects = json!({ "settled": 2, "waiting": 0, "failing": 1, "other": 0 });
        let slot = json!({ "instanceId": "", "stem": "site@v2", "kind": "Site.example.dev", "version": "v2",
            "state": "Serving", "reason": "one\ntwo", "objects": objects });
        assert_eq!(
            table(&[slot]),
            "INSTANCE   PLUGIN    KIND               VERSION   STATE     OBJECTS   FAILING   REASON\n           \
             site@v2   Site.example.dev   v2        Serving   3         1         one\n"
        );
    }

    #[test]
    fn what_is_said_of_an_object_stands_under_its_plugin() {
        let site = json!({ "lineage": "site", "state": "failing", "reason": "it traps", "slot": "canary/site",
            "generation": 4, "wrote": ["apply ConfigMap a/b: Written"], "failures": 3, "nextLookInSeconds": 40 });
        let why = json!({ "object": "Site.example.dev a/anna", "plugins": [site] });
        let expected = [
            "Site.example.dev a/anna",
            "  site: failing",
            "    because      it traps",
            "    served by    canary/site, generation 4",
            "    wrote        apply ConfigMap a/b: Written",
            "    failed       3 times in a row",
            "    next look    40 s from now",
            "",
        ];
        assert_eq!(told(&why), expected.join("\n"));
    }
}
