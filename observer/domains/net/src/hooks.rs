//! What the net domain attaches, alternatives in order.

use observer_common::names::{ProgramName, net as names};
use observer_core::hook::{Alternative, Attachment, Hook, HookKind, Need, Point};

/// The hook without which connections are only known from scans.
pub const LIFE: &str = "net.connections";

/// The helper that came with Linux 5.12.
const LATEST: &str = "check_mtu";

/// Storage in the socket itself, claimed by an atomic exchange. Programs of these types have both since Linux 5.12. No list
/// of the kernel contains that; a helper that came with 5.12 shows it.
pub const STORAGE: &[Need] =
    &[Need::Helper("get_current_task_btf"), Need::Helper("sock_from_file"), Need::Helper(LATEST)];

/// Where that is missing: a map remembers sockets, and the members on the path from a task or a descriptor to a socket are
/// read by probe reads. Both are never used together, because each must know what the other remembers.
pub const OLDER: &[Need] = &[Need::NoHelper(LATEST), Need::Probing];

/// The limitation of the map.
const ROOM: &str =
    "connections beyond 65,536 at a time are known only from scans, and their close is not seen";

const fn program(program: ProgramName, point: Point) -> Attachment {
    Attachment { program, point, optional: false }
}

const fn optional(program: ProgramName, point: Point) -> Attachment {
    Attachment { program, point, optional: true }
}

const LIFE_PROGRAMS: &[Attachment] = &[
    program(names::STATE, Point::BtfTracepoint("inet_sock_set_state")),
    program(names::DESTROY, Point::BtfTracepoint("tcp_destroy_sock")),
];

const SENT_PROGRAMS: &[Attachment] = &[
    program(names::SENT_V4, Point::Fexit("inet_sendmsg")),
    optional(names::SENT_V6, Point::Fexit("inet6_sendmsg")),
];

const RECEIVED_PROGRAMS: &[Attachment] = &[
    program(names::RECEIVED_V4, Point::Fexit("inet_recvmsg")),
    optional(names::RECEIVED_V6, Point::Fexit("inet6_recvmsg")),
];

/// The limitation of attaching to the functions that send.
const SPLICED: &str = "bytes that sendfile and splice send over UDP or a shared TCP socket are attributed to the socket's first user";

/// The domain's hooks. Events come first: a connection that is opened during the first scan is then known to be new, and
/// one that the first scan finds without such an event is older.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: LIFE,
        provides: "which process opens a TCP connection, and its final counters when it closes",
        kind: HookKind::Event,
        alternatives: &[
            Alternative {
                name: "BTF tracepoints inet_sock_set_state and tcp_destroy_sock",
                programs: LIFE_PROGRAMS,
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "BTF tracepoints inet_sock_set_state and tcp_destroy_sock, probe reads",
                programs: LIFE_PROGRAMS,
                needs: OLDER,
                blind: ROOM,
            },
        ],
        columns: &["age"],
    },
    Hook {
        name: "net.ends",
        provides: "the exit of a process",
        kind: HookKind::Event,
        alternatives: &[Alternative {
            name: "BTF tracepoint sched_process_exit",
            programs: &[program(names::EXIT, Point::BtfTracepoint("sched_process_exit"))],
            needs: &[],
            blind: "",
        }],
        columns: &[],
    },
    Hook {
        name: "net.sent",
        provides: "which process sends: payload bytes of UDP, and of TCP sockets that several processes share",
        kind: HookKind::EventOnDemand,
        alternatives: &[
            Alternative {
                name: "BTF tracepoint sock_send_length",
                programs: &[program(names::SENT, Point::BtfTracepoint("sock_send_length"))],
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "return of inet_sendmsg and inet6_sendmsg",
                programs: SENT_PROGRAMS,
                needs: STORAGE,
                blind: SPLICED,
            },
            Alternative {
                name: "return of inet_sendmsg and inet6_sendmsg, probe reads",
                programs: SENT_PROGRAMS,
                needs: OLDER,
                blind: SPLICED,
            },
        ],
        columns: &["udp"],
    },
    Hook {
        name: "net.received",
        provides: "which process receives: payload bytes of UDP, and of TCP sockets that several processes share",
        kind: HookKind::EventOnDemand,
        alternatives: &[
            Alternative {
                name: "BTF tracepoint sock_recv_length",
                programs: &[program(names::RECEIVED, Point::BtfTracepoint("sock_recv_length"))],
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "return of inet_recvmsg and inet6_recvmsg",
                programs: RECEIVED_PROGRAMS,
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "return of inet_recvmsg and inet6_recvmsg, probe reads",
                programs: RECEIVED_PROGRAMS,
                needs: OLDER,
                blind: "",
            },
        ],
        columns: &["udp"],
    },
    Hook {
        name: "net.sockets",
        provides: "every open socket with its process, and the bytes of each TCP connection so far",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative {
                name: "BPF iterator task_file",
                programs: &[program(names::SOCKET, Point::Iterator("task_file"))],
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "BPF iterator task_file, probe reads",
                programs: &[program(names::SOCKET, Point::Iterator("task_file"))],
                needs: OLDER,
                blind: "",
            },
        ],
        columns: &["to"],
    },
    Hook {
        name: "net.unheld",
        provides: "orphaned TCP sockets: held only by io_uring, or closed and still sending",
        kind: HookKind::Scan,
        alternatives: &[
            Alternative {
                name: "BPF iterator tcp",
                programs: &[program(names::TCP, Point::Iterator("tcp"))],
                needs: STORAGE,
                blind: "",
            },
            Alternative {
                name: "BPF iterator tcp, probe reads",
                programs: &[program(names::TCP, Point::Iterator("tcp"))],
                needs: OLDER,
                blind: "",
            },
        ],
        columns: &[],
    },
];
