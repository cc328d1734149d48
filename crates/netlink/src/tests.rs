//! In namespaces of the test's own, pinned in a mount namespace of its own: nothing survives the test's thread.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::*;

fn alone(test: impl FnOnce(&Path) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        #[allow(unsafe_code, reason = "the table of descriptors is not unshared")]
        // SAFETY: as said.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let pin = directory.path().join("other");
        namespace::pin(&pin).unwrap();
        test(&pin);
        namespace::unpin(&pin).unwrap();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_pair_into_another_namespace_with_address_neighbour_and_routes() {
    alone(|pin| {
        let mut here = Netlink::here().unwrap();
        let file = File::open(pin).unwrap();
        let (mac, peer_mac) = ([0xee; 6], [0x0a, 0x58, 10, 0, 0, 2]);
        let veth =
            Veth { mtu: Some(1400), mac: Some(mac), peer_mac: Some(peer_mac), ..Veth::new("a", "eth0") };
        here.add_veth(&veth.into_namespace(file.as_fd())).unwrap();
        assert!(here.add_veth(&Veth::new("a", "b")).is_err(), "the name is taken");
        let mut there = Netlink::inside(pin).unwrap();
        assert_eq!(there.link("eth0").unwrap().unwrap().mtu, 1400);
        assert_eq!(here.link("a").unwrap().unwrap().mtu, 1400);
        assert_eq!(here.link("eth0").unwrap(), None);
        let address = IpAddr::from([10, 0, 0, 2]);
        for _ in 0..2 {
            there.add_address("eth0", address, 32).unwrap();
        }
        there.set_up("eth0", true).unwrap();
        assert!(there.addresses().unwrap().contains(&address));
        let gateway = Ipv4Addr::new(169, 254, 1, 1);
        there.set_neighbour("eth0", gateway.into(), mac).unwrap();
        let eth0 = there.index("eth0").unwrap();
        let everything = Route::default_v4().via(gateway).over(eth0);
        assert!(there.set_route(&everything).is_err(), "no link leads to the gateway yet");
        there.set_route(&Route::new(gateway, 32).over(eth0)).unwrap();
        there.set_route(&everything).unwrap();
        assert!(there.routes().unwrap().contains(&everything));
        there.remove_route(&everything).unwrap();
        there.remove_route(&everything).unwrap();
        assert!(!there.routes().unwrap().contains(&everything));
        here.remove_link("a").unwrap();
        here.remove_link("a").unwrap();
        assert_eq!(there.link("eth0").unwrap(), None, "the other end goes too");
    });
}

#[test]
fn ports_of_a_bridge_carry_packets() {
    alone(|pin| {
        let mut here = Netlink::here().unwrap();
        here.add_bridge("br0").unwrap();
        here.add_address("br0", IpAddr::from([10, 9, 0, 1]), 24).unwrap();
        here.set_up("br0", true).unwrap();
        let file = File::open(pin).unwrap();
        here.add_veth(&Veth::new("port", "eth0").into_namespace(file.as_fd())).unwrap();
        here.set_bridge("port", "br0").unwrap();
        here.set_up("port", true).unwrap();
        let mut there = Netlink::inside(pin).unwrap();
        there.add_address("eth0", IpAddr::from([10, 9, 0, 2]), 24).unwrap();
        there.set_up("eth0", true).unwrap();
        let names: Vec<String> = here.links().unwrap().into_iter().map(|l| l.name).collect();
        assert_eq!(names, ["lo", "br0", "port"]);
        let listener = std::net::TcpListener::bind("10.9.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        namespace::run(pin, move || std::net::TcpStream::connect(to)).unwrap().unwrap();
        here.set_up("port", false).unwrap();
        let dark = std::time::Duration::from_millis(100);
        assert!(
            namespace::run(pin, move || std::net::TcpStream::connect_timeout(&to, dark)).unwrap().is_err()
        );
    });
}

#[test]
fn a_pin_is_told_from_the_file_that_a_crash_left() {
    alone(|pin| {
        let plain = pin.with_extension("plain");
        std::fs::write(&plain, "").unwrap();
        assert!(namespace::is_pinned(pin) && !namespace::is_pinned(&plain));
        assert!(namespace::pin(&plain).is_err(), "it is in the way");
        namespace::unpin(&plain).unwrap();
        namespace::unpin(&plain).unwrap();
        assert!(!plain.exists());
        assert!(namespace::run(&plain, || ()).is_err());
    });
}
