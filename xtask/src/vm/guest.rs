//! One guest: boots a kernel under software emulation, has it do steps, and hears how each ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{archive::Archive, kernels::Kernel};
use crate::process;

const START: &str = include_str!("guest/start.sh");

/// A guest that is to run.
pub struct Guest<'a> {
    pub kernel: &'a Kernel,
    pub disk: &'a Path,
    /// More words for the kernel's command line.
    pub command_line: &'a str,
    /// A script of `step`s.
    pub steps: &'a str,
    /// Seconds after which it is ended.
    pub seconds: u32,
    /// Where what it said is kept.
    pub log: PathBuf,
}

/// What a guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub release: String,
    pub steps: Vec<Step>,
    /// Whether it came to its end by itself.
    pub done: bool,
}

/// One step, its words, and its exit code; none where the guest ended in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub output: String,
    pub exit: Option<i32>,
}

impl Guest<'_> {
    /// Boots it and waits for its end.
    ///
    /// # Errors
    /// When the emulator cannot run. A guest that hangs or panics is no error here: its steps have no end.
    pub fn run(&self) -> Result<Said> {
        let folder = self.log.parent().context("the log is in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let initrd = self.log.with_extension("initrd");
        fs::write(&initrd, self.initrd()?).context("writing the guest's initramfs")?;
        let console = self.log.with_extension("console");
        let _ = fs::remove_file(&self.log);
        let mut command = Command::new("timeout");
        // What a guest writes to its disk is gone when it ends: every guest starts from the same.
        command
            .args(["--signal=KILL", &self.seconds.to_string()])
            .args([
                "qemu-system-x86_64",
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max",
                "-m",
                "1G",
                "-smp",
                "2",
            ])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&initrd)
            .arg("-append")
            .arg(format!("console=ttyS0 loglevel=4 panic=-1 {}", self.command_line))
            .arg("-drive")
            .arg(format!("file={},if=none,id=disk,format=raw,snapshot=on", self.disk.display()))
            .args(["-device", "nvme,drive=disk,serial=disk"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .arg("-serial")
            .arg(format!("file:{}", self.log.display()));
        let shown = process::line(&command);
        let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
        let _ = fs::remove_file(&initrd);
        let said = hear(&String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()));
        if said.release.is_empty() {
            let last = fs::read(&console).unwrap_or_default();
            let last = String::from_utf8_lossy(&last);
            let lines: Vec<&str> = last.lines().rev().take(12).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            bail!("the guest {} did not start ({status}):\n{}", self.kernel.release, lines.join("\n"));
        }
        Ok(said)
    }

    fn initrd(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "disk", "modules"] {
            archive.folder(folder);
        }
        // Without it the first program could not say what is wrong.
        archive.character_device("dev/console", 5, 1);
        let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
        archive.file("bin/busybox", &read(Path::new("/bin/busybox"))?);
        let mut order = String::new();
        for module in &self.kernel.modules {
            let name = module.file_name().and_then(|name| name.to_str()).context("a module has a name")?;
            archive.file(&format!("modules/{name}"), &read(module)?);
            order.push_str(name);
            order.push('\n');
        }
        archive.file("modules/order", order.as_bytes());
        archive.file("steps", self.steps.as_bytes());
        archive.file("init", START.as_bytes());
        Ok(archive.finish())
    }
}

/// Reads what a guest said: its own lines begin with `@@`.
fn hear(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some(release) = line.strip_prefix("@@ kernel ") {
            said.release = release.to_owned();
        } else if let Some(name) = line.strip_prefix("@@ begin ") {
            said.steps.push(Step { name: name.to_owned(), ..Step::default() });
        } else if let Some((_, code)) = line.strip_prefix("@@ end ").and_then(|end| end.rsplit_once(' ')) {
            if let Some(step) = said.steps.last_mut() {
                step.exit = code.parse().ok();
            }
        } else if line == "@@ done" {
            said.done = true;
        } else if let Some(step) = said.steps.last_mut().filter(|step| step.exit.is_none()) {
            step.output.push_str(line);
            step.output.push('\n');
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_dies_in_a_step_has_not_ended_it() {
        let said = hear("@@ kernel 6.1.0\r\n@@ begin one\nhello\n\n@@ end one 3\n@@ begin two words\nfar");
        assert_eq!(said.release, "6.1.0");
        assert_eq!(
            said.steps,
            [
                Step { name: "one".to_owned(), output: "hello\n\n".to_owned(), exit: Some(3) },
                Step { name: "two words".to_owned(), output: "far\n".to_owned(), exit: None },
            ]
        );
        assert!(!said.done);
    }
}
