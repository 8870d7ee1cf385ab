//! Reading what `observer doctor` says: each hook with the way in use, and why not the others.

/// Doctor's answer on one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub hooks: Vec<HookAnswer>,
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookAnswer {
    /// `domain.signal`.
    pub name: String,
    pub tells: String,
    /// Every way in order.
    pub ways: Vec<WayAnswer>,
    /// Columns that are unknown; empty where a way is in use.
    pub unknown: String,
}

/// One way to the signal of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayAnswer {
    pub name: String,
    pub fate: Fate,
}

/// What became of a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Attached; with what it does not see, empty if nothing.
    InUse(String),
    /// It would do, but a better one is in use.
    Spare,
    /// The plan held it for possible and the kernel refused.
    Refused(String),
    /// This kernel cannot have it.
    Impossible(String),
}

impl HookAnswer {
    pub fn in_use(&self) -> Option<(&WayAnswer, &str)> {
        self.ways.iter().find_map(|way| match &way.fate {
            Fate::InUse(blind) => Some((way, blind.as_str())),
            _ => None,
        })
    }

    pub fn refused(&self) -> impl Iterator<Item = (&WayAnswer, &str)> {
        self.ways.iter().filter_map(|way| match &way.fate {
            Fate::Refused(reason) => Some((way, reason.as_str())),
            _ => None,
        })
    }
}

impl Answer {
    /// Reads the text; what it does not know it leaves out.
    pub fn read(text: &str) -> Self {
        let mut answer = Self::default();
        for line in text.lines() {
            if let Some((name, tells)) = hook(line) {
                answer.hooks.push(HookAnswer { name, tells, ..HookAnswer::default() });
            } else if let Some(rest) = line.strip_prefix("      ").filter(|rest| !rest.starts_with(' ')) {
                let Some(hook) = answer.hooks.last_mut() else { continue };
                if let Some(columns) = rest.strip_prefix("unknown without it: ") {
                    columns.clone_into(&mut hook.unknown);
                } else if let Some((name, fate)) = rest.split_once(": ") {
                    hook.ways.push(WayAnswer { name: name.to_owned(), fate: fate_of(fate) });
                }
            }
        }
        answer
    }

    pub fn hook(&self, name: &str) -> Option<&HookAnswer> {
        self.hooks.iter().find(|hook| hook.name == name)
    }
}

/// `  ✓ mem.life              what it tells`
fn hook(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("  ✓ ").or_else(|| line.strip_prefix("  ✗ "))?;
    let (name, tells) = rest.split_once(' ')?;
    Some((name.to_owned(), tells.trim().to_owned()))
}

fn fate_of(text: &str) -> Fate {
    if text == "in use" {
        Fate::InUse(String::new())
    } else if let Some(blind) = text.strip_prefix("in use; ") {
        Fate::InUse(blind.to_owned())
    } else if text == "possible, not needed" {
        Fate::Spare
    } else if let Some(reason) = text.strip_prefix("refused by the kernel: ") {
        Fate::Refused(reason.to_owned())
    } else {
        Fate::Impossible(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_and_way_is_read() {
        let answer = Answer::read(
            "observer works here; 1 signal is not observed, see below.\n\nkernel 6.1.0 #1\n  lockdown        none\n\
             privileges\n  CAP_BPF               yes  load\n\nmem\n  ✓ mem.mappings           what each process maps\n\
             \x20     fexit of the system calls: refused by the kernel: EPERM\n\
             \x20     BTF tracepoint sys_exit: in use; the calls of a\n\
             \x20     other: possible, not needed\n\
             \x20 ✗ mem.counters           resident memory\n\
             \x20     BPF iterator task: this kernel has no iterator `task`\n\
             \x20     unknown without it: rss, anon\n  field TASK: this kernel has no `x`\n",
        );
        assert_eq!(answer.hooks.len(), 2);
        let mappings = &answer.hooks[0];
        assert_eq!(
            mappings.in_use().map(|(way, blind)| (way.name.as_str(), blind)),
            Some(("BTF tracepoint sys_exit", "the calls of a"))
        );
        assert_eq!(mappings.refused().map(|(_, reason)| reason).collect::<Vec<_>>(), ["EPERM"]);
        assert_eq!(mappings.ways[2].fate, Fate::Spare);
        let counters = &answer.hooks[1];
        assert_eq!(counters.unknown, "rss, anon");
        assert!(matches!(&counters.ways[0].fate, Fate::Impossible(reason) if reason.contains("no iterator")));
    }
}
