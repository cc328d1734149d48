//! A Pod's `/etc/resolv.conf`, `/etc/hosts` and host name. Pure (pkg/kubelet/network/dns in Kubernetes).

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

/// A resolver's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// `nameserver` lines.
    pub(crate) nameservers: Vec<String>,
    /// The `search` list.
    pub(crate) searches: Vec<String>,
    /// The `options`.
    pub(crate) options: Vec<String>,
}

impl ResolvConf {
    /// Reads a `resolv.conf`; the last `search` line counts, unknown lines do not.
    pub(crate) fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => out.nameservers.extend(words.next()),
                Some("search") => out.searches = words.collect(),
                Some("options") => out.options = words.collect(),
                _ => {}
            }
        }
        out
    }

    /// The file's text.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        if !self.searches.is_empty() {
            out.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.nameservers {
            out.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            out.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        out
    }
}

/// At most so many name servers work in the C library.
const MAX_NAMESERVERS: usize = 3;

/// The resolver configuration of `pod`. `host` is what the node itself uses, `dns` the cluster's server.
pub(crate) fn resolv_conf(pod: &Pod, dns: IpAddr, domain: &str, host: &ResolvConf) -> ResolvConf {
    let spec = pod.spec.as_ref();
    let on_host = spec.and_then(|s| s.host_network).unwrap_or(false);
    let policy = spec.and_then(|s| s.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let mut out = match policy {
        "None" => ResolvConf::default(),
        "Default" => host.clone(),
        "ClusterFirst" if on_host => host.clone(),
        _ => cluster_first(pod, dns, domain, host),
    };
    if let Some(config) = spec.and_then(|s| s.dns_config.as_ref()) {
        out.nameservers.extend(config.nameservers.iter().flatten().cloned());
        out.searches.extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let Some(name) = option.name.as_deref() else { continue };
            out.options.retain(|o| o.split(':').next() != Some(name));
            out.options
                .push(option.value.as_ref().map_or_else(|| name.to_owned(), |v| format!("{name}:{v}")));
        }
    }
    unique(&mut out.nameservers);
    unique(&mut out.searches);
    out.nameservers.truncate(MAX_NAMESERVERS);
    out
}

fn cluster_first(pod: &Pod, dns: IpAddr, domain: &str, host: &ResolvConf) -> ResolvConf {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()];
    searches.extend(host.searches.iter().cloned());
    ResolvConf { nameservers: vec![dns.to_string()], searches, options: vec!["ndots:5".to_owned()] }
}

fn unique(list: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

/// The Pod's host name and, if it has a subdomain, its full name.
pub(crate) fn hostname(pod: &Pod, domain: &str) -> (String, Option<String>) {
    let spec = pod.spec.as_ref();
    let given = spec.and_then(|s| s.hostname.as_deref()).filter(|h| !h.is_empty());
    let name = given.or(pod.metadata.name.as_deref()).unwrap_or_default();
    let short: String = name.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']).to_owned();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let full = spec
        .and_then(|s| s.subdomain.as_deref())
        .filter(|s| !s.is_empty())
        .map(|sub| format!("{short}.{sub}.{namespace}.svc.{domain}"));
    (short, full)
}

/// The Pod's `/etc/hosts`. A Pod on the node's network gets the node's, `host`.
pub(crate) fn hosts(pod: &Pod, addresses: &[IpAddr], domain: &str, host: Option<&str>) -> String {
    let (short, full) = hostname(pod, domain);
    let mut out = match host {
        Some(text) => format!("# Kubernetes-managed hosts file (host network).\n{text}"),
        None => concat!(
            "# Kubernetes-managed hosts file.\n",
            "127.0.0.1\tlocalhost\n",
            "::1\tlocalhost ip6-localhost ip6-loopback\n",
            "fe00::0\tip6-localnet\n",
            "fe00::0\tip6-mcastprefix\n",
            "fe00::1\tip6-allnodes\n",
            "fe00::2\tip6-allrouters\n",
        )
        .to_owned(),
    };
    if host.is_none() {
        for address in addresses {
            match &full {
                Some(full) => out.push_str(&format!("{address}\t{full}\t{short}\n")),
                None => out.push_str(&format!("{address}\t{short}\n")),
            }
        }
    }
    let aliases = pod.spec.as_ref().and_then(|s| s.host_aliases.as_deref()).unwrap_or_default();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t");
        out.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": "web-1", "namespace": "shop"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn resolv_conf_by_policy() {
        let host =
            ResolvConf::parse("# c\nnameserver 192.0.2.1\nsearch old\nsearch corp.example\noptions rotate\n");
        let dns = "10.96.0.10".parse().unwrap();
        let cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example\n\
                       nameserver 10.96.0.10\noptions ndots:5\n";
        let own = "search corp.example\nnameserver 192.0.2.1\noptions rotate\n";
        for (spec, wanted) in [
            (json!({}), cluster),
            (json!({"dnsPolicy": "ClusterFirst"}), cluster),
            (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), own),
            (json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), cluster),
            (json!({"dnsPolicy": "Default"}), own),
            (json!({"dnsPolicy": "None"}), ""),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a", "b"],
                       "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "search a b\nnameserver 1.1.1.1\noptions ndots:2 edns0\n",
            ),
        ] {
            assert_eq!(
                resolv_conf(&pod(spec.clone()), dns, "cluster.local", &host).render(),
                wanted,
                "{spec}"
            );
        }
        let more = json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}], "searches": ["x"]}});
        let got = resolv_conf(&pod(more), dns, "k.test", &ResolvConf::default());
        assert_eq!(
            got.render(),
            "search shop.svc.k.test svc.k.test k.test x\nnameserver 10.96.0.10\noptions ndots:1\n"
        );
    }

    #[test]
    fn host_names() {
        assert_eq!(hostname(&pod(json!({})), "d"), ("web-1".into(), None));
        let named = pod(json!({"hostname": "db-0", "subdomain": "db"}));
        assert_eq!(hostname(&named, "d"), ("db-0".into(), Some("db-0.db.shop.svc.d".into())));
        let mut long = pod(json!({}));
        long.metadata.name = Some(format!("{}-{}", "a".repeat(62), "b".repeat(9)));
        assert_eq!(hostname(&long, "d").0, "a".repeat(62));
    }

    #[test]
    fn hosts_file() {
        let pod =
            pod(json!({"subdomain": "s", "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["x", "y"]}]}));
        let text = hosts(&pod, &["10.244.0.2".parse().unwrap()], "d", None);
        assert!(text.contains("127.0.0.1\tlocalhost\n"));
        assert!(text.contains("10.244.0.2\tweb-1.s.shop.svc.d\tweb-1\n"));
        assert!(text.ends_with("\n# Entries added by HostAliases.\n192.0.2.9\tx\ty\n"));
        assert!(
            hosts(&pod, &[], "d", Some("127.0.0.1 localhost\n"))
                .starts_with("# Kubernetes-managed hosts file (host")
        );
    }
}
