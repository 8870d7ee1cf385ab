//! The programs of the net domain, and the maps that user space opens. Both of its objects have all of them.

/// Names every program of the domain once; `$with` makes constants of them or checks that they exist.
#[macro_export]
macro_rules! net_programs {
    ($with:path) => {
        $with! {
            STATE: net_state;
            DESTROY: net_destroy;
            EXIT: net_exit;
            FORK: net_fork;
            ACCEPTED_V4: net_accepted_v4;
            ACCEPTED_V6: net_accepted_v6;
            OPENED: net_opened;
            SENT: net_sent;
            SENT_V4: net_sent_v4;
            SENT_V6: net_sent_v6;
            RECEIVED: net_received;
            RECEIVED_V4: net_received_v4;
            RECEIVED_V6: net_received_v6;
            SOCKET: net_socket;
            TCP: net_tcp;
        }
    };
}

/// Names every map of the domain that user space opens.
#[macro_export]
macro_rules! net_maps {
    ($with:path) => {
        $with! {
            FLOWS: NET_FLOWS;
            CLOSED: NET_CLOSED;
            ENDED: NET_ENDED;
            FAILED: NET_FAILED;
        }
    };
}

net_programs!(crate::program_names);
net_maps!(crate::map_names);
