//! The kernels of the matrix: for each series the newest stock kernel on the mirror, unpacked and cached.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    apt::{Apt, Package},
    modules,
};
use crate::process;

/// The series of the matrix. The last is the newest of its major version.
pub const SERIES: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7.x"];

/// A kernel that can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub series: String,
    /// The output of `uname -r`: `6.1.0-56-cloud-amd64`.
    pub release: String,
    pub image: PathBuf,
    /// Modules to load, in this order.
    pub modules: Vec<PathBuf>,
}

/// The newest kernel of `series`, from the cache in `folder` or from the mirror.
///
/// # Errors
/// When the mirror has no kernel that can be fetched and unpacked.
pub fn newest(apt: &Apt, known: &[Package], series: &str, folder: &Path) -> Result<Kernel> {
    let candidates = candidates(known, series);
    let mut failed = Vec::new();
    for (image, parts) in &candidates {
        let cached = folder.join(series).join(format!("{}_{}", image.name, image.version));
        if !fs::read_to_string(cached.join("needed")).is_ok_and(|needed| needed == modules::needed()) {
            println!("vm: {series}: fetching {} {}", image.name, image.version);
            if let Err(error) = fetch(apt, image, parts, &cached) {
                // The lists are older than the mirror: a package that was replaced since is missing.
                println!("vm: {series}: {} {} is not available: {error:#}", image.name, image.version);
                failed.push(error);
                continue;
            }
            remove_others(&cached);
        }
        return open(series, &cached);
    }
    match failed.pop() {
        Some(error) => Err(error.context(format!("no kernel of the series {series} can be fetched"))),
        None => {
            bail!("no package is a kernel of the series {series}: does the mirror still have its suite?")
        }
    }
}

/// All packages that contain a kernel for virtual machines or a part of one.
///
/// # Errors
/// When apt-cache fails.
pub fn known(apt: &Apt) -> Result<Vec<Package>> {
    apt.find("^linux-(image|binary|modules)-[0-9].*-cloud-amd64(-unsigned)?$")
}

/// The images of a series, newest first, each with the packages of its parts.
fn candidates<'a>(known: &'a [Package], series: &str) -> Vec<(&'a Package, Vec<&'a Package>)> {
    let is_of = |package: &&Package| match series.strip_suffix(".x") {
        Some(major) => package.version.starts_with(&format!("{major}.")),
        None => package.version.starts_with(&format!("{series}.")),
    };
    let mut found: Vec<_> = known
        .iter()
        .filter(|package| package.name.starts_with("linux-image-") && !package.version.contains("~rc"))
        .filter(is_of)
        .filter_map(|image| Some((image, parts(known, image)?)))
        .collect();
    // The signed image of a version comes first, because systems install that one.
    found.sort_by_key(|(image, _)| {
        (std::cmp::Reverse(order(&image.version)), image.name.ends_with("-unsigned"))
    });
    found
}

/// The packages with the image and modules of an image package; `None` for a package that only depends on the newest
/// one, and if a part is not in the lists.
fn parts<'a>(known: &'a [Package], image: &'a Package) -> Option<Vec<&'a Package>> {
    let is_part = |name: &&String| {
        ["linux-binary-", "linux-modules-", "linux-image-"].iter().any(|prefix| name.starts_with(prefix))
    };
    let mut parts = vec![image];
    for name in image.depends.iter().filter(is_part) {
        if name.starts_with("linux-image-") {
            return None;
        }
        parts.push(known.iter().find(|part| part.name == **name && part.version == image.version)?);
    }
    Some(parts)
}

/// The numbers in a version, to compare versions of one series.
fn order(version: &str) -> Vec<u64> {
    version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

fn fetch(apt: &Apt, image: &Package, parts: &[&Package], cached: &Path) -> Result<()> {
    let scratch = cached.with_extension("partial");
    let _ = fs::remove_dir_all(&scratch);
    let unpacked = scratch.join("unpacked");
    fs::create_dir_all(&unpacked).with_context(|| format!("creating {}", unpacked.display()))?;
    for part in parts {
        apt.download(&part.name, &part.version, &scratch)?;
    }
    for entry in fs::read_dir(&scratch).context("reading the downloaded packages")?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(entry.path()).arg(&unpacked))?;
        }
    }
    let files = modules::files(&unpacked);
    let is_image = |path: &&PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("vmlinuz"))
    };
    let vmlinuz = files
        .iter()
        .find(is_image)
        .with_context(|| format!("{} {} contains no vmlinuz", image.name, image.version))?;
    let result = scratch.join("result");
    fs::create_dir_all(&result).context("creating the kernel's folder")?;
    fs::copy(vmlinuz, result.join("vmlinuz")).context("storing the image")?;
    let release = image.name.trim_start_matches("linux-image-").trim_end_matches("-unsigned");
    fs::write(result.join("release"), release).context("storing the release")?;
    modules::unpack_needed(&files, &result)?;
    fs::write(result.join("needed"), modules::needed()).context("recording its modules")?;
    let _ = fs::remove_dir_all(cached);
    fs::rename(&result, cached).context("storing the kernel")?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(())
}

/// Removes the older kernels of the series.
fn remove_others(cached: &Path) {
    let siblings =
        cached.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for entry in siblings.filter(|entry| entry.path() != cached) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn open(series: &str, cached: &Path) -> Result<Kernel> {
    let read = |name: &str| {
        fs::read_to_string(cached.join(name))
            .with_context(|| format!("reading {} (remove {} to fetch it again)", name, cached.display()))
    };
    Ok(Kernel {
        series: series.to_owned(),
        release: read("release")?.trim().to_owned(),
        image: cached.join("vmlinuz"),
        modules: read("modules")?.lines().map(|name| cached.join(name)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, depends: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            depends: depends.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn names(known: &[Package], series: &str) -> Vec<String> {
        candidates(known, series).iter().map(|(image, _)| image.name.clone()).collect()
    }

    #[test]
    fn the_newest_kernel_comes_first_and_signed_before_unsigned() {
        let known = [
            package("linux-image-6.1.0-9-cloud-amd64", "6.1.99-1", &[]),
            package("linux-image-6.1.0-56-cloud-amd64-unsigned", "6.1.192-2", &[]),
            package("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", &[]),
            package("linux-image-6.12.1-cloud-amd64", "6.12.1-1", &[]),
        ];
        assert_eq!(
            names(&known, "6.1"),
            [
                "linux-image-6.1.0-56-cloud-amd64",
                "linux-image-6.1.0-56-cloud-amd64-unsigned",
                "linux-image-6.1.0-9-cloud-amd64"
            ]
        );
    }

    #[test]
    fn an_image_in_parts_needs_all_of_them() {
        let known = [
            package("linux-image-7.3.4-cloud-amd64", "7.3.4-1", &["linux-binary-7.3.4-cloud-amd64"]),
            package(
                "linux-image-7.2.13-cloud-amd64",
                "7.2.13-1",
                &["kmod", "linux-binary-7.2.13-cloud-amd64"],
            ),
            package("linux-binary-7.2.13-cloud-amd64", "7.2.13-1", &[]),
            package("linux-image-7.2-cloud-amd64", "7.2.13-1", &["linux-image-7.2.13-cloud-amd64"]),
            package("linux-image-7.4-rc1-cloud-amd64", "7.4~rc1-1", &[]),
        ];
        assert_eq!(names(&known, "7.x"), ["linux-image-7.2.13-cloud-amd64"]);
        assert_eq!(candidates(&known, "7.x")[0].1.len(), 2);
    }
}
