//! The hooks of the net domain, with their alternatives, best first.

use observer_common::names::net as names;
use observer_core::hook::{
    Alternative, Attachment, Hook, HookKind, Need, control_group, fexit, iterator, tracepoint,
};

/// Without this hook, connections are only known from scans.
pub const LIFE: &str = "net.connections";

/// A helper that Linux 5.15 added.
const LATEST: &str = "task_pt_regs";

/// Storage in the socket itself, claimed by an atomic exchange. Programs of these types can use both since Linux 5.12.
/// The kernel has no list of these features; a newer helper, which programs also use, shows that they exist.
pub const STORAGE: &[Need] =
    &[Need::Helper("get_current_task_btf"), Need::Helper("sock_from_file"), Need::Helper(LATEST)];

/// For kernels without socket storage: a map remembers sockets, and probe reads follow the members from a task or a
/// descriptor to a socket. The two are never used together, because each must know what the other one remembers.
pub const OLDER: &[Need] = &[Need::NoHelper(LATEST), Need::Probing];

/// The limitation of the map.
const ROOM: &str =
    "connections beyond 65,536 at a time are known only from scans, and their close is not seen";

const LIFE_PROGRAMS: &[Attachment] =
    &[tracepoint(names::STATE, "inet_sock_set_state"), tracepoint(names::DESTROY, "tcp_destroy_sock")];

const SENT_PROGRAMS: &[Attachment] =
    &[fexit(names::SENT_V4, "inet_sendmsg"), fexit(names::SENT_V6, "inet6_sendmsg").optional()];

const RECEIVED_PROGRAMS: &[Attachment] =
    &[fexit(names::RECEIVED_V4, "inet_recvmsg"), fexit(names::RECEIVED_V6, "inet6_recvmsg").optional()];

/// The limitation of attaching to the functions that send.
const SPLICED: &str = "bytes that sendfile and splice send over UDP or a shared TCP socket are attributed to the socket's first user";

/// The domain's hooks. Events come first: a connection that is opened during the first scan is then known to be new,
/// and one that the first scan finds without such an event is older.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: LIFE,
        provides: "which process opens a TCP connection, and its final counters when it closes",
        kind: HookKind::Event,
        alternatives: &[
            Alternative::new("BTF tracepoints inet_sock_set_state and tcp_destroy_sock", LIFE_PROGRAMS)
                .needing(STORAGE),
            Alternative::new(
                "BTF tracepoints inet_sock_set_state and tcp_destroy_sock, probe reads",
                LIFE_PROGRAMS,
            )
            .needing(OLDER)
            .limited(ROOM),
        ],
        columns: &["age"],
    },
    Hook {
        name: "net.ends",
        provides: "the exit of a process",
        kind: HookKind::Event,
        alternatives: &[Alternative::new(
            "BTF tracepoint sched_process_exit",
            &[tracepoint(names::EXIT, "sched_process_exit")],
        )],
        columns: &[],
    },
    Hook {
        name: "net.shares",
        provides: "which process has children that inherit its sockets",
        kind: HookKind::Event,
        alternatives: &[Alternative::new(
            "BTF tracepoint sched_process_fork",
            &[tracepoint(names::FORK, "sched_process_fork")],
        )],
        columns: &[],
    },
    Hook {
        name: "net.accepted",
        provides: "which process accepts a connection, where another one closes it",
        kind: HookKind::Event,
        alternatives: &[Alternative::new(
            "programs getpeername4 and getpeername6 of the root control group",
            &[
                control_group(names::ACCEPTED_V4, "getpeername4"),
                control_group(names::ACCEPTED_V6, "getpeername6"),
            ],
        )
        .needing(STORAGE)],
        columns: &[],
    },
    Hook {
        name: "net.opened",
        provides: "the first datagram socket of the machine, before it sends",
        kind: HookKind::Event,
        alternatives: &[Alternative::new(
            "program sock_create of the root control group",
            &[control_group(names::OPENED, "sock_create")],
        )],
        columns: &[],
    },
    Hook {
        name: "net.sent",
        provides: "which process sends: payload bytes of UDP, and of TCP sockets that several processes share",
        kind: HookKind::EventOnDemand,
        alternatives: &[
            Alternative::new(
                "BTF tracepoint sock_send_length",
                &[tracepoint(names::SENT, "sock_send_length")],
            )
            .needing(STORAGE),
            Alternative::new("return of inet_sendmsg and inet6_sendmsg", SENT_PROGRAMS)
                .needing(STORAGE)
                .limited(SPLICED),
            Alternative::new("return of inet_sendmsg and inet6_sendmsg, probe reads", SENT_PROGRAMS)
                .needing(OLDER)
                .limited(SPLICED),
        ],
        columns: &["udp"],
    },
    Hook {
        name: "net.received",
        provides: "which process receives: payload bytes of UDP, and of TCP sockets that several processes share",
        kind: HookKind::EventOnDemand,
        alternatives: &[
            Alternative::new(
                "BTF tracepoint sock_recv_length",
                &[tracepoint(names::RECEIVED, "sock_recv_length")],
            )
            .needing(STORAGE),
            Alternative::new("return of inet_recvmsg and inet6_recvmsg", RECEIVED_PROGRAMS).needing(STORAGE),
            Alternative::new("return of inet_recvmsg and inet6_recvmsg, probe reads", RECEIVED_PROGRAMS)
                .needing(OLDER),
        ],
        columns: &["udp"],
    },
    Hook {
        name: "net.sockets",
        provides: "every open socket with its process, and the bytes of each TCP connection so far",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative::new("BPF iterator task_file", &[iterator(names::SOCKET, "task_file")])
                .needing(STORAGE),
            Alternative::new("BPF iterator task_file, probe reads", &[iterator(names::SOCKET, "task_file")])
                .needing(OLDER),
        ],
        columns: &["to"],
    },
    Hook {
        name: "net.unheld",
        provides: "orphaned TCP sockets: held only by io_uring, or closed and still sending",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative::new("BPF iterator tcp", &[iterator(names::TCP, "tcp")]).needing(STORAGE),
            Alternative::new("BPF iterator tcp, probe reads", &[iterator(names::TCP, "tcp")]).needing(OLDER),
        ],
        columns: &[],
    },
];
