//! Lives of Pods.

use serde_json::{Value, json};

use super::in_own_namespaces;
use super::lab::Lab;

const HELLO: &str = "localhost/hello";

fn one(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("web");
    if container["image"].is_null() {
        container["image"] = json!(HELLO);
    }
    json!({"containers": [container]})
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}

#[test]
fn a_pod_runs_is_ready_and_goes_without_a_trace() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        lab.create(
            "v1/namespaces/default/services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello-svc"},
                "spec": {"ports": [{"port": 8080}], "selector": {"a": "b"}}}),
        )
        .await;
        lab.pod("p", one(json!({"args": ["$(KUBERNETES_SERVICE_HOST)", "$(NO)"]}))).await;
        let pod = lab.until_pod("p", is_ready).await;
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["podIP"], "10.244.0.2");
        assert_eq!(pod["status"]["hostIP"], "10.123.0.2");
        assert_eq!((&container(&pod)["restartCount"], &container(&pod)["ready"]), (&json!(0), &json!(true)));
        let started = &lab.runtime.started()[0];
        assert_eq!(started.args, ["10.96.0.1", "$(NO)"]);
        let mount =
            |path: &str| started.mounts.iter().find(|m| m.container_path.to_string_lossy() == path).cloned();
        let read = |path: &str| std::fs::read_to_string(mount(path).unwrap().host_path).unwrap();
        let searches = "search default.svc.cluster.local svc.cluster.local cluster.local\n";
        assert!(read("/etc/resolv.conf").starts_with(searches));
        assert!(read("/etc/hosts").contains("10.244.0.2\tp\n"));
        lab.until_event("p", "Started container web").await;
        let events = lab.events("p").await;
        let text = "Pulled Container image \"localhost/hello\" already present on machine";
        assert_eq!(events, [text, "Created Created container: web", "Started Started container web"]);

        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(lab.client.clone(), "default");
        pods.delete("p", &kube::api::DeleteParams::default()).await.unwrap();
        lab.until_gone("p").await;
        lab.until_event("p", "Killing Stopping container web").await;
        assert_eq!((lab.runtime.sandboxes(), lab.runtime.stopped().len()), (0, 1));
        assert_eq!(lab.runtime.stopped()[0].1.as_secs(), 30);
        for left in ["run/pods", "data/pods", "run/netns"] {
            assert_eq!(std::fs::read_dir(dir.join(left)).unwrap().count(), 0, "{left}");
        }
    });
}

#[test]
fn a_status_that_somebody_else_overruled_is_written_again_once() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({}))).await;
        lab.until_pod("p", is_ready).await;
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(lab.client.clone(), "default");
        // As the node controller does with the Pods of a node that it does not hear.
        let conditions = json!([{"type": "Ready", "status": "False"}]);
        let patch = kube::api::Patch::Strategic(json!({"status": {"conditions": conditions}}));
        let overruled = pods.patch_status("p", &kube::api::PatchParams::default(), &patch).await.unwrap();
        assert!(!is_ready(&json!(overruled)));
        let pod = lab.until_pod("p", is_ready).await;
        assert_ne!(
            Some(pod["metadata"]["resourceVersion"].as_str().unwrap()),
            overruled.metadata.resource_version.as_deref()
        );
    });
}

#[test]
fn a_failing_container_is_restarted_then_backs_off() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({}))).await;
        lab.until_pod("p", is_ready).await;
        lab.runtime.end("web", 3);
        let pod = lab.until_pod("p", |p| is_ready(p) && container(p)["restartCount"] == 1).await;
        let last = &container(&pod)["lastState"]["terminated"];
        assert_eq!((&last["exitCode"], &last["reason"]), (&json!(3), &json!("Error")));
        lab.runtime.end("web", 4);
        let waits = |p: &Value| container(p)["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        let pod = lab.until_pod("p", waits).await;
        assert_eq!(container(&pod)["restartCount"], 1);
        assert_eq!(container(&pod)["lastState"]["terminated"]["exitCode"], 4);
        assert!(!is_ready(&pod) && pod["status"]["phase"] == "Running");
        lab.until_event("p", "BackOff Back-off restarting failed container web in pod p_default(").await;
    });
}

#[test]
fn a_job_like_pod_succeeds_and_keeps_its_status() {
    in_own_namespaces(async |dir| {
        let mut lab = Lab::new(&dir).await;
        let mut spec = one(json!({}));
        spec["restartPolicy"] = json!("Never");
        lab.pod("p", spec).await;
        lab.until_pod("p", is_ready).await;
        lab.runtime.end("web", 0);
        let pod = lab.until_pod("p", |p| p["status"]["phase"] == "Succeeded").await;
        assert_eq!(container(&pod)["state"]["terminated"]["reason"], "Completed");
        lab.stop().await;
        lab.start().await;
        lab.pod("q", one(json!({}))).await;
        lab.until_pod("q", is_ready).await;
        let pod = lab.until_pod("p", |_| true).await;
        assert_eq!(pod["status"]["phase"], "Succeeded");
        assert_eq!(container(&pod)["state"]["terminated"]["reason"], "Completed");
    });
}

#[test]
fn an_absent_image_is_told_and_waited_for() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({"image": "localhost/absent"}))).await;
        let waits = |p: &Value| container(p)["state"]["waiting"]["reason"] == "ImagePullBackOff";
        let pod = lab.until_pod("p", waits).await;
        assert_eq!(pod["status"]["phase"], "Pending");
        lab.until_event("p", "sealane image load").await;
        lab.until_event("p", "Error: ErrImagePull").await;
        lab.until_event("p", "Back-off pulling image \"localhost/absent\"").await;
        lab.pod("never", one(json!({"image": "localhost/absent", "imagePullPolicy": "Never"}))).await;
        let waits = |p: &Value| container(p)["state"]["waiting"]["reason"] == "ErrImageNeverPull";
        lab.until_pod("never", waits).await;
    });
}

#[test]
fn a_restarted_agent_leaves_pods_as_they_are() {
    in_own_namespaces(async |dir| {
        let mut lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({"readinessProbe": {"exec": {"command": ["true"]}}}))).await;
        let before = lab.until_pod("p", is_ready).await;
        lab.stop().await;
        lab.start().await;
        lab.pod("q", one(json!({}))).await;
        let other = lab.until_pod("q", is_ready).await;
        let after = lab.until_pod("p", |_| true).await;
        assert_eq!(before["status"], after["status"]);
        assert_eq!(
            before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"],
            "no write at all"
        );
        assert_eq!(other["status"]["podIP"], "10.244.0.3");
        assert_eq!(lab.runtime.started().len(), 2);
        lab.runtime.end("web", 1);
    });
}

#[test]
fn after_a_machine_restart_containers_start_again_with_one_more_restart() {
    in_own_namespaces(async |dir| {
        let mut lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({}))).await;
        lab.until_pod("p", is_ready).await;
        lab.stop().await;
        lab.runtime.crash();
        crate::teardown(&dir.join("run"), &dir.join("data")).unwrap();
        lab.start().await;
        let pod = lab.until_pod("p", |p| is_ready(p) && container(p)["restartCount"] == 1).await;
        assert_eq!(container(&pod)["lastState"]["terminated"]["reason"], "ContainerStatusUnknown");
    });
}

#[test]
fn a_pod_that_went_while_no_agent_ran_is_removed() {
    in_own_namespaces(async |dir| {
        let mut lab = Lab::new(&dir).await;
        lab.pod("p", one(json!({}))).await;
        lab.until_pod("p", is_ready).await;
        lab.stop().await;
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(lab.client.clone(), "default");
        let now = kube::api::DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
        pods.delete("p", &now).await.unwrap();
        lab.until_gone("p").await;
        lab.start().await;
        for _ in 0..500 {
            if lab.runtime.sandboxes() == 0 && std::fs::read_dir(dir.join("run/netns")).unwrap().count() == 0
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the Pod is still there");
    });
}

#[test]
fn probes_decide() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        let probe = |command: &str| json!({"exec": {"command": ["exit", command]}, "periodSeconds": 1, "failureThreshold": 1});
        lab.pod("unready", one(json!({"readinessProbe": probe("1")}))).await;
        let runs = |p: &Value| container(p)["state"]["running"].is_object();
        let pod = lab.until_pod("unready", runs).await;
        assert_eq!((&container(&pod)["started"], &container(&pod)["ready"]), (&json!(true), &json!(false)));
        lab.until_event("unready", "Unhealthy Readiness probe failed: exit 1").await;
        lab.pod("sick", one(json!({"livenessProbe": probe("7")}))).await;
        lab.until_pod("sick", |p| container(p)["restartCount"] == 1).await;
        lab.until_event("sick", "Unhealthy Liveness probe failed: exit 7").await;
        lab.until_event("sick", "Killing Container web failed liveness probe, will be restarted").await;
    });
}

#[test]
fn volumes_and_tokens_are_mounted() {
    in_own_namespaces(async |dir| {
        let lab = Lab::new(&dir).await;
        let spec = json!({"containers": [{"name": "web", "image": HELLO,
            "env": [{"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "colour"}}}],
            "volumeMounts": [{"name": "all", "mountPath": "/all"}, {"name": "tmp", "mountPath": "/tmp/x"},
                {"name": "cm", "mountPath": "/one", "subPath": "colour"}]}],
            "volumes": [
                {"name": "tmp", "emptyDir": {}}, {"name": "cm", "configMap": {"name": "cm"}},
                {"name": "all", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}]});
        lab.pod("p", spec).await;
        // The ConfigMap is missing: the Pod waits for it.
        lab.until_event(
            "p",
            "FailedMount MountVolume.SetUp failed for volume \"cm\" : configmap \"cm\" not found",
        )
        .await;
        let cm = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"colour": "red"}});
        lab.create("v1/namespaces/default/configmaps", cm).await;
        lab.until_pod("p", is_ready).await;
        let started = &lab.runtime.started()[0];
        assert!(started.env.contains(&("COLOUR".into(), "red".into())));
        let host = |path: &str| {
            started
                .mounts
                .iter()
                .find(|m| m.container_path.to_string_lossy() == path)
                .unwrap()
                .host_path
                .clone()
        };
        assert_eq!(std::fs::read_to_string(host("/one")).unwrap(), "red");
        assert_eq!(std::fs::read_to_string(host("/all").join("namespace")).unwrap(), "default");
        let token = std::fs::read_to_string(host("/all").join("token")).unwrap();
        assert_eq!(token.split('.').count(), 3, "{token}");
        assert!(host("/tmp/x").is_dir());
    });
}
