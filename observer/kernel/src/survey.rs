//! What the types of a kernel contain of everything that an alternative relies on: each field, each attach point with
//! its prototype, each helper function. Kept as data, so that tests can make plans for other kernels.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use observer_core::domain::Declaration;

use super::{
    btf::{Btf, BtfError, Named, field::FieldLocation},
    declared::{attachments, fields, helpers},
    types::{KernelTypes, NoField, PointType, type_name},
};

/// The kernel's own numbering of helper functions.
const HELPERS: &str = "bpf_func_id";

/// The types of one kernel that the domains rely on. `None` is what it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// By the path of the field, as its declaration spells it.
    pub fields: BTreeMap<String, Option<FieldLocation>>,
    /// The prototype of each attach point, by its name in the types.
    pub points: BTreeMap<String, Option<String>>,
    pub helpers: BTreeMap<String, bool>,
    /// Type ids differ in each build, so the data leaves them out.
    #[serde(skip)]
    ids: BTreeMap<String, u32>,
}

impl Survey {
    /// Looks up everything that `domains` rely on in the type information at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn read(domains: &[&Declaration], path: &Path) -> Result<Self, BtfError> {
        let points: Vec<(Named, String)> = attachments(domains).map(|at| type_name(at.point)).collect();
        let shapes = fields(domains).flat_map(|field| field.path.split(" | "));
        let roots = shapes.map(|shape| shape.split('.').next().unwrap_or(shape));
        let mut wanted: Vec<(Named, &str)> = roots.map(|root| (Named::Struct, root)).collect();
        wanted.extend(points.iter().map(|(named, name)| (*named, name.as_str())));
        wanted.push((Named::Enum, HELPERS));
        wanted.sort_unstable();
        wanted.dedup();
        let btf = Btf::open(path, &wanted)?;
        let field = |path: &'static str| (path.to_owned(), btf.locate(path));
        let helper = |name: &str| (name.to_owned(), btf.enumerates(HELPERS, &format!("BPF_FUNC_{name}")));
        let ids = points.iter().filter_map(|(named, name)| Some((name.clone(), btf.id(*named, name)?)));
        let prototype = |named: Named, name: &str| {
            btf.id(named, name).map(|_| btf.prototype(named, name).unwrap_or_default())
        };
        Ok(Self {
            fields: fields(domains).map(|declared| field(declared.path)).collect(),
            points: points.iter().map(|(named, name)| (name.clone(), prototype(*named, name))).collect(),
            helpers: helpers(domains).map(helper).collect(),
            ids: ids.collect(),
        })
    }

    /// What a plan is made with. A saved survey has no type ids: the ids here only mark the attach points that exist.
    pub fn types(&self, domains: &[&Declaration]) -> KernelTypes {
        let fields = fields(domains).map(|field| {
            let path = || field.path.to_owned();
            let offset = match self.fields.get(field.path) {
                Some(Some(found)) if field.width == 0 || field.width == found.width => Ok(found.value),
                Some(Some(found)) => {
                    Err(NoField::OtherWidth { path: path(), found: found.width, expected: field.width })
                }
                Some(None) => Err(NoField::Missing { path: path() }),
                None => Err(NoField::NotLookedUp { path: path() }),
            };
            (field.global.to_owned(), offset)
        });
        let points = self.points.iter().filter_map(|(name, prototype)| {
            let id = self.ids.get(name).copied().unwrap_or(1);
            Some((name.clone(), PointType { id, prototype: prototype.clone()? }))
        });
        let helpers = self.helpers.iter().filter(|(_, has)| **has).map(|(name, _)| name.clone());
        KernelTypes {
            fields: fields.collect(),
            points: points.collect(),
            helpers: helpers.collect::<BTreeSet<_>>(),
        }
    }
}
