//! Images that cannot be had.

use super::affected;
use crate::cause::{Cause, Look};
use crate::finding::Finding;
use crate::fix;
use crate::objects::Pod;
use crate::state::State;
use crate::subject::Subject;
use crate::words::{pods as names, quoted};

pub(in crate::causes) static CAUSE: Cause = Cause {
    name: "image-pull",
    title: "An image cannot be had",
    about: "A Pod starts once its node has all images. Where one does not exist, is misspelt or needs credentials, the Pod waits in \
            ErrImagePull and ImagePullBackOff, and the node tries again at longer and longer intervals.",
    make: "kubectl create deployment web --image=localhost/helo:4.1 --port=8080\n\
           kubectl expose deployment web --port=80 --target-port=8080",
    mend: "Correct the image's name or tag, load the image into the cluster (`sealane image load`), or give the Pods an \
           imagePullSecret.",
    needs: &[],
    look: Look::Service(find),
};

fn find(subject: &Subject<'_>) -> Vec<Finding> {
    let groups = affected::by(subject, |state, pod| match state {
        State::ImagePull(status) => Some(image(pod, status)),
        _ => None,
    });
    let finding = |(image, pods): (&str, Vec<&Pod>)| {
        let some = affected::some(subject, &pods, "waits", "wait");
        let (reason, said) = waiting(subject, pods[0]);
        let message = match said.is_empty() {
            true => format!("{some} for image {image}, which cannot be had ({reason})."),
            false => format!("{some} for image {image}: {said}."),
        };
        let load = match image.starts_with("localhost/") && on_sealane(subject, pods[0]) {
            true => " (images of localhost/ come from sealane image load only)",
            false => "",
        };
        CAUSE
            .finding(subject.severity(), subject.object(), message)
            .evidence(format!("{} in {reason}{load}", names(&pods)))
            .fix(mend(subject, pods[0], image))
    };
    groups.into_iter().map(finding).collect()
}

/// The image as its author wrote it.
fn image<'a>(pod: &'a Pod, status: &'a crate::objects::ContainerStatus) -> &'a str {
    let container = pod.spec.containers.iter().find(|container| container.name == status.name);
    container.map_or(&status.image, |container| &container.image)
}

/// The reason and the message of the container that waits for its image.
fn waiting<'a>(subject: &Subject<'a>, pod: &'a Pod) -> (&'a str, String) {
    let State::ImagePull(status) = subject.state(pod) else { return ("", String::new()) };
    let waiting = status.state.waiting.as_ref();
    waiting.map_or(("", String::new()), |waiting| (&waiting.reason, essence(&waiting.message)))
}

/// What the registry said, without the steps that led there.
fn essence(message: &str) -> String {
    let said = message.rsplit_once("ErrImagePull: ").map_or(message, |(_, said)| said);
    quoted(said)
}

fn on_sealane(subject: &Subject<'_>, pod: &Pod) -> bool {
    subject.view.node(&pod.spec.node_name).is_some_and(crate::objects::Node::is_sealane)
}

fn mend(subject: &Subject<'_>, pod: &Pod, image: &str) -> String {
    if image.starts_with("localhost/") && on_sealane(subject, pod) {
        return format!("docker save {image} | sudo sealane image load -");
    }
    match fix::maker(subject.view, pod) {
        // What served before still does, and had its image.
        Some(maker) if subject.ready > 0 => subject.kubectl(&format!("rollout undo {maker}")),
        _ => fix::describe(pod),
    }
}
