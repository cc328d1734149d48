//! The default seccomp profile: what a container may ask of the kernel. It says what Docker's and containerd's default says, from the
//! other side: every call known today is allowed but those listed here, and what is newer does not exist (ENOSYS, so
//! that libraries fall back).

use std::collections::BTreeMap;
use std::io;

use libc as sys;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// The newest call that is known: `mseal` of Linux 6.10. Numbers are the same on all architectures since 424.
const NEWEST: u32 = 462;
/// Of Linux 6.8, which the C library's headers may not know.
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;
const SET_MEMPOLICY_HOME_NODE: i64 = 450;

/// Calls that reach beyond a container: nobody's.
const NEVER: &[i64] = &[
    // Keys are the user's, whichever container he is in.
    sys::SYS_add_key,
    sys::SYS_keyctl,
    sys::SYS_request_key,
    // The machine's kernel and memory.
    sys::SYS_kexec_load,
    sys::SYS_kexec_file_load,
    sys::SYS_swapon,
    sys::SYS_swapoff,
    sys::SYS_move_pages,
    sys::SYS_migrate_pages,
    sys::SYS_pivot_root,
    sys::SYS_nfsservctl,
    // Ways into the kernel that were found open too often.
    sys::SYS_userfaultfd,
    sys::SYS_io_uring_setup,
    sys::SYS_io_uring_enter,
    sys::SYS_io_uring_register,
];

/// The same, of calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[sys::SYS__sysctl, sys::SYS_sysfs, sys::SYS_uselib, sys::SYS_ustat];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Calls that a capability allows: any of the first list, all of the second.
const WITH: &[(&[&str], &[i64])] = &[
    (
        &["SYS_ADMIN"],
        &[
            sys::SYS_fanotify_init,
            sys::SYS_fsconfig,
            sys::SYS_fsmount,
            sys::SYS_fsopen,
            sys::SYS_fspick,
            sys::SYS_lookup_dcookie,
            sys::SYS_mount,
            sys::SYS_mount_setattr,
            sys::SYS_move_mount,
            sys::SYS_open_tree,
            sys::SYS_quotactl,
            sys::SYS_quotactl_fd,
            sys::SYS_setdomainname,
            sys::SYS_sethostname,
            sys::SYS_setns,
            sys::SYS_umount2,
            sys::SYS_unshare,
            STATMOUNT,
            LISTMOUNT,
        ],
    ),
    (&["SYS_ADMIN", "BPF"], &[sys::SYS_bpf]),
    (&["SYS_ADMIN", "PERFMON"], &[sys::SYS_perf_event_open]),
    (&["SYS_ADMIN", "SYSLOG"], &[sys::SYS_syslog]),
    (&["DAC_READ_SEARCH"], &[sys::SYS_open_by_handle_at]),
    (&["SYS_BOOT"], &[sys::SYS_reboot]),
    (&["SYS_CHROOT"], &[sys::SYS_chroot]),
    (&["SYS_MODULE"], &[sys::SYS_delete_module, sys::SYS_init_module, sys::SYS_finit_module]),
    (
        &["SYS_NICE"],
        &[sys::SYS_get_mempolicy, sys::SYS_mbind, sys::SYS_set_mempolicy, SET_MEMPOLICY_HOME_NODE],
    ),
    (&["SYS_PACCT"], &[sys::SYS_acct]),
    (&["SYS_PTRACE"], &[sys::SYS_kcmp, sys::SYS_pidfd_getfd, sys::SYS_process_madvise]),
    (&["SYS_TIME"], &[sys::SYS_settimeofday, sys::SYS_clock_settime]),
    (&["SYS_TTY_CONFIG"], &[sys::SYS_vhangup]),
    #[cfg(target_arch = "x86_64")]
    (&["SYS_RAWIO"], &[sys::SYS_iopl, sys::SYS_ioperm]),
];

/// `CLONE_NEW*`: a namespace of one's own needs SYS_ADMIN, and a user namespace would give it.
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// `personality` that changes nothing, and those that ordinary programs ask for (32 bits, no randomisation, a query).
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Sockets to the hypervisor.
const AF_VSOCK: u64 = 40;

/// The filter for a container with these capabilities (`CAP_…`).
///
/// # Errors
/// On an architecture without a table.
pub(super) fn default_profile(capabilities: &[String]) -> io::Result<BpfProgram> {
    let has = |name: &&str| capabilities.iter().any(|c| c.strip_prefix("CAP_") == Some(*name));
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let rules = denied(&has).map_err(io::Error::other)?;
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, architecture);
    let compiled: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    let mut program = vec![load_number()];
    program.extend(absent(JUMP_IF_GREATER, NEWEST));
    if !has(&"SYS_ADMIN") {
        // Its flags lie in memory, where a filter does not see them; libraries fall back to clone.
        program.extend(absent(JUMP_IF_EQUAL, u32::try_from(sys::SYS_clone3).unwrap_or(0)));
    }
    program.extend(compiled);
    Ok(program)
}

/// The calls that are refused, with the conditions under which they are.
fn denied(has: &dyn Fn(&&str) -> bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let condition = |op, value| SeccompCondition::new(0, SeccompCmpArgLen::Dword, op, value);
    let without = WITH.iter().filter(|(any, _)| !any.iter().any(has)).flat_map(|(_, calls)| *calls);
    let always = NEVER.iter().chain(NEVER_HERE).chain(without);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.map(|call| (*call, Vec::new())).collect();
    let other = PERSONALITIES.iter().map(|p| condition(Ne, *p)).collect::<Result<Vec<_>, _>>()?;
    rules.insert(sys::SYS_personality, vec![SeccompRule::new(other)?]);
    rules.insert(sys::SYS_socket, vec![SeccompRule::new(vec![condition(Eq, AF_VSOCK)?])?]);
    if !has(&"SYS_ADMIN") {
        let namespace = |flag: &u64| SeccompRule::new(vec![condition(MaskedEq(*flag), *flag)?]);
        rules.insert(sys::SYS_clone, NAMESPACES.iter().map(namespace).collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// `BPF_JMP | BPF_JGT | BPF_K` and `BPF_JMP | BPF_JEQ | BPF_K` of `linux/bpf_common.h`.
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_EQUAL: u16 = 0x15;

/// Loads the call's number, the first field of `struct seccomp_data`.
fn load_number() -> sock_filter {
    sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 }
}

/// Calls that compare so do not exist.
fn absent(jump: u16, number: u32) -> [sock_filter; 2] {
    let enosys = u32::from(SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    [sock_filter { code: jump, jt: 0, jf: 1, k: number }, sock_filter { code: 0x06, jt: 0, jf: 0, k: enosys }]
}

/// Puts the calling thread under the filter, for good. It needs CAP_SYS_ADMIN or no-new-privileges, and sets neither.
#[allow(unsafe_code)] // A plain system call; the kernel copies the program.
pub(super) fn install(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    // Both types are the kernel's `struct sock_filter`.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: length, filter };
    match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own, which stays filtered until its end.
    fn under_profile(capabilities: &[&str], test: impl FnOnce() + Send + 'static) {
        let capabilities: Vec<String> = capabilities.iter().map(|c| format!("CAP_{c}")).collect();
        let thread = std::thread::spawn(move || {
            install(&default_profile(&capabilities).unwrap()).unwrap();
            test();
        });
        thread.join().unwrap();
    }

    #[allow(unsafe_code)] // System calls without pointers.
    fn errno(number: i64, arguments: [u64; 3]) -> i32 {
        let [a, b, c] = arguments;
        match unsafe { libc::syscall(number, a, b, c) } {
            -1 => io::Error::last_os_error().raw_os_error().unwrap_or(0),
            _ => 0,
        }
    }

    #[test]
    fn what_reaches_beyond_a_container_is_refused() {
        under_profile(&["SYS_CHROOT"], || {
            for call in [sys::SYS_keyctl, sys::SYS_unshare, sys::SYS_bpf, sys::SYS_mount, STATMOUNT] {
                assert_eq!(errno(call, [0; 3]), libc::EPERM, "{call}");
            }
            assert_eq!(errno(sys::SYS_socket, [AF_VSOCK, 1, 0]), libc::EPERM);
            assert_eq!(errno(sys::SYS_personality, [0x4_0000, 0, 0]), libc::EPERM);
            assert_eq!(errno(sys::SYS_personality, [0xffff_ffff, 0, 0]), 0);
            assert_eq!(errno(sys::SYS_clone, [0x1000_0000, 0, 0]), libc::EPERM);
            assert_eq!(errno(sys::SYS_clone3, [0; 3]), libc::ENOSYS);
            assert_eq!(errno(500, [0; 3]), libc::ENOSYS, "a call of tomorrow");
            // Threads, files and sockets work.
            std::thread::spawn(|| std::fs::read("/proc/self/stat").unwrap()).join().unwrap();
            std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            assert_eq!(errno(sys::SYS_chroot, [0; 3]), libc::EFAULT, "allowed by a capability");
        });
    }

    #[test]
    fn capabilities_allow_what_they_are_for() {
        under_profile(&["SYS_ADMIN"], || {
            assert_eq!(errno(sys::SYS_unshare, [0; 3]), 0);
            assert_eq!(errno(sys::SYS_keyctl, [0; 3]), libc::EPERM);
            assert_eq!(errno(sys::SYS_clone3, [0; 3]), libc::EINVAL);
            assert_eq!(errno(sys::SYS_chroot, [0; 3]), libc::EPERM);
        });
    }
}
