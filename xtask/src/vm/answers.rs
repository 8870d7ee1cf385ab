//! Parser of the output of `observer doctor`: each hook with the alternative in use, and the reasons against the
//! others.

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
    /// The signal that it provides.
    pub provides: String,
    /// Every alternative, best first.
    pub alternatives: Vec<AlternativeAnswer>,
    /// Columns that are unknown; empty if an alternative is in use.
    pub unknown: String,
}

/// One alternative of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeAnswer {
    pub name: String,
    pub state: AlternativeState,
}

/// The state of an alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeState {
    /// Attached; with its limitation, empty if it has none.
    InUse(String),
    /// Possible, but a better one is in use.
    Spare,
    /// The plan expected it to work, and the kernel rejected it.
    Rejected(String),
    /// Impossible on this kernel.
    Impossible(String),
}

impl HookAnswer {
    /// The alternative in use, with its limitation.
    pub fn in_use(&self) -> Option<(&AlternativeAnswer, &str)> {
        self.alternatives.iter().find_map(|alternative| match &alternative.state {
            AlternativeState::InUse(limitation) => Some((alternative, limitation.as_str())),
            _ => None,
        })
    }

    /// The alternatives that the kernel rejected, with the reasons.
    pub fn rejected(&self) -> impl Iterator<Item = (&AlternativeAnswer, &str)> {
        self.alternatives.iter().filter_map(|alternative| match &alternative.state {
            AlternativeState::Rejected(reason) => Some((alternative, reason.as_str())),
            _ => None,
        })
    }
}

impl Answer {
    /// Parses the text; unknown lines are ignored.
    pub fn read(text: &str) -> Self {
        let mut answer = Self::default();
        for line in text.lines() {
            if let Some((name, provides)) = hook(line) {
                answer.hooks.push(HookAnswer { name, provides, ..HookAnswer::default() });
            } else if let Some(rest) = line.strip_prefix("      ").filter(|rest| !rest.starts_with(' ')) {
                let Some(hook) = answer.hooks.last_mut() else { continue };
                if let Some(columns) = rest.strip_prefix("unknown without it: ") {
                    columns.clone_into(&mut hook.unknown);
                } else if let Some((name, state)) = rest.split_once(": ") {
                    hook.alternatives
                        .push(AlternativeAnswer { name: name.to_owned(), state: state_of(state) });
                }
            }
        }
        answer
    }

    /// The answer about one hook.
    pub fn hook(&self, name: &str) -> Option<&HookAnswer> {
        self.hooks.iter().find(|hook| hook.name == name)
    }
}

/// `  ✓ mem.life              what it provides`
fn hook(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("  ✓ ").or_else(|| line.strip_prefix("  ✗ "))?;
    let (name, provides) = rest.split_once(' ')?;
    Some((name.to_owned(), provides.trim().to_owned()))
}

fn state_of(text: &str) -> AlternativeState {
    if text == "in use" {
        AlternativeState::InUse(String::new())
    } else if let Some(limitation) = text.strip_prefix("in use; ") {
        AlternativeState::InUse(limitation.to_owned())
    } else if text == "possible, not needed" {
        AlternativeState::Spare
    } else if let Some(reason) = text.strip_prefix("rejected by the kernel: ") {
        AlternativeState::Rejected(reason.to_owned())
    } else {
        AlternativeState::Impossible(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_and_alternative_is_read() {
        let answer = Answer::read(
            "observer works here; 1 signal is not observed, see below.\n\nkernel 6.1.0 #1\n  lockdown        none\n\
             privileges\n  CAP_BPF               yes  load\n\nmem\n  ✓ mem.mappings           what each process maps\n\
             \x20     fexit of the system calls: rejected by the kernel: EPERM\n\
             \x20     BTF tracepoint sys_exit: in use; the calls of a\n\
             \x20     other: possible, not needed\n\
             \x20 ✗ mem.counters           resident memory\n\
             \x20     BPF iterator task: this kernel has no iterator `task`\n\
             \x20     unknown without it: rss, anon\n  field TASK: this kernel has no `x`\n",
        );
        assert_eq!(answer.hooks.len(), 2);
        let mappings = &answer.hooks[0];
        assert_eq!(
            mappings.in_use().map(|(alternative, limitation)| (alternative.name.as_str(), limitation)),
            Some(("BTF tracepoint sys_exit", "the calls of a"))
        );
        assert_eq!(mappings.rejected().map(|(_, reason)| reason).collect::<Vec<_>>(), ["EPERM"]);
        assert_eq!(mappings.alternatives[2].state, AlternativeState::Spare);
        let counters = &answer.hooks[1];
        assert_eq!(counters.unknown, "rss, anon");
        assert!(
            matches!(&counters.alternatives[0].state, AlternativeState::Impossible(reason) if reason.contains("no iterator"))
        );
    }
}
