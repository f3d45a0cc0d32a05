//! The harness itself: what it starts is a control plane, and it goes again.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use trimtab_harness::{ControlPlane, eventually};

const SOON: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
        data: Some(BTreeMap::from([("a".into(), "1".into())])),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_config_map_is_kept_through_crashes_of_the_api_server_and_of_etcd() {
    let control_plane = ControlPlane::start().await;
    let namespace = control_plane.namespace().await;
    let config_maps = Api::<ConfigMap>::namespaced(control_plane.client().await, &namespace);
    let made = config_maps.create(&PostParams::default(), &config_map("kept")).await.unwrap();

    control_plane.stop_apiserver();
    assert!(config_maps.get("kept").await.is_err());
    control_plane.start_apiserver().await;
    let config_maps = Api::<ConfigMap>::namespaced(control_plane.client().await, &namespace);
    assert_eq!(config_maps.get("kept").await.unwrap().metadata.uid, made.metadata.uid);

    control_plane.pause_apiserver();
    let unanswered = tokio::time::timeout(Duration::from_millis(200), config_maps.get("kept")).await;
    assert!(unanswered.is_err(), "a paused server answers nothing");
    control_plane.resume_apiserver();
    config_maps.get("kept").await.unwrap();

    control_plane.stop_etcd();
    control_plane.start_etcd().await;
    config_maps.get("kept").await.unwrap();
}

#[tokio::test]
async fn owners_are_collected_and_namespaces_emptied() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace().await;
    let config_maps = Api::<ConfigMap>::namespaced(control_plane.client().await, &namespace);
    let owner = config_maps.create(&PostParams::default(), &config_map("owner")).await.unwrap();
    let mut child = config_map("child");
    child.metadata.owner_references = Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: "owner".into(),
        uid: owner.metadata.uid.unwrap(),
        ..Default::default()
    }]);
    config_maps.create(&PostParams::default(), &child).await.unwrap();

    config_maps.delete("owner", &DeleteParams::default()).await.unwrap();
    let gone = async || config_maps.get_opt("child").await.unwrap().is_none().then_some(());
    eventually("the child is collected", SOON, gone).await;

    control_plane.kubectl(&["delete", "namespace", &namespace, "--wait=true"]);
}

#[tokio::test]
async fn someone_else_may_do_only_what_rbac_grants() {
    let control_plane = ControlPlane::shared().await;
    let namespace = control_plane.namespace().await;
    let config_maps = Api::<ConfigMap>::namespaced(control_plane.client_as("jane", &["readers"]).await, &namespace);
    let refused = config_maps.get_opt("any").await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused}");

    control_plane.kubectl(&["create", "role", "readers", "--verb=get", "--resource=configmaps", "-n", &namespace]);
    let bind = ["create", "rolebinding", "readers", "--role=readers", "--group=readers", "-n", &namespace];
    control_plane.kubectl(&bind);
    let granted = async || config_maps.get_opt("any").await.ok();
    assert!(eventually("the binding counts", SOON, granted).await.is_none());
}

/// Stands for a test that is killed: see the test below.
#[tokio::test]
#[ignore = "started by nothing_outlives_a_killed_test, which kills it"]
async fn victim() {
    let control_plane = ControlPlane::start().await;
    println!("kubeconfig={}", control_plane.kubeconfig().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    use std::io::{BufRead, BufReader};
    let myself = std::env::current_exe().unwrap();
    let mut victim = Command::new(myself)
        .args(["--ignored", "--exact", "--nocapture", "victim"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let kubeconfig = said.find_map(|line| line.split_once("kubeconfig=").map(|(_, path)| path.to_owned())).unwrap();
    let folder = std::path::Path::new(&kubeconfig).parent().unwrap().to_owned();
    let mine = || processes_in(&folder);
    assert_eq!(mine().len(), 3, "etcd, kube-apiserver, kube-controller-manager");

    victim.kill().unwrap();
    victim.wait().unwrap();
    let gone = async || (mine().is_empty() && !folder.exists()).then_some(());
    eventually("no process and no file is left", SOON, gone).await;
}

/// The processes whose working directory is `folder`.
fn processes_in(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir("/proc").expect("Linux").filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)).collect()
}
