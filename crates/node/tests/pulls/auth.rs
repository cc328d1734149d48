//! Who may pull: HTTP's basic scheme with docker-registry, tokens with the small one.

use base64::Engine;

use crate::Lab;
use crate::fake::{Behaviour, Fake};
use crate::image::Image;
use crate::server::{Registry, USER};

#[tokio::test]
async fn basic_authentication_tries_every_credential() {
    let registry = Registry::with_password();
    let lab = Lab::new();
    let image = Image::new("private").layer("file", "private");
    registry.push(&image, "private", "1");
    let name = registry.name("private:1");
    for users in [&[][..], &[("user", "wrong")]] {
        let error = lab.pull_as(&name, users).await.expect_err("refused").to_string();
        assert!(
            error.contains("refuses access to private (401)") && error.contains("imagePullSecrets"),
            "{error}"
        );
    }
    lab.pull_as(&name, &[("user", "wrong"), USER]).await.expect("the second is right");
    assert_eq!(lab.read(&name, "file"), "private");
}

#[tokio::test]
async fn a_token_is_fetched_from_the_realm() {
    let pair = base64::engine::general_purpose::STANDARD.encode("robot:secret");
    let registry =
        Fake::start(Behaviour { token_for: Some(format!("Basic {pair}")), ..Behaviour::default() });
    let lab = Lab::new();
    registry.serve(&Image::new("t").layer("file", "t"), "team/app", "1");
    let name = registry.name("team/app:1");
    let error = lab.pull(&name).await.expect_err("nobody gets no token").to_string();
    assert!(error.contains("who are you?"), "{error}");
    lab.pull_as(&name, &[("robot", "secret")]).await.expect("pulled");
    let asked = registry.requests("GET /token");
    assert_eq!(asked.len(), 2, "one token serves a whole pull: {asked:?}");
    assert!(asked[1].contains("service=fake&scope=repository:team/app:pull"), "{asked:?}");
}
