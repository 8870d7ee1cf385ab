//! Frames as they are shown: names where they are known, else a place in a file.

use observer_core::{
    facts::sites::{FunctionName, InterpretedFrame, Language, ModuleFact},
    report::Value,
    text::printable,
};

use crate::{
    code::{is_python, is_runtime_function, is_runtime_library},
    state::{CallPath, ProcessSamples},
};

/// One frame of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShownFrame {
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
    pub module: Option<String>,
    /// Bytes from the start of the module's file.
    pub offset: Option<u64>,
    pub inlined: bool,
    pub language: Option<Language>,
    /// Whether it belongs to an allocator, a runtime or a standard library.
    pub runtime: bool,
}

/// The frames of a call path, innermost first.
#[derive(Clone, Debug, Default)]
pub struct SitePath {
    pub frames: Vec<ShownFrame>,
    /// The index of the site.
    pub site: usize,
    /// Addresses of the whole path.
    pub addresses: Vec<u64>,
}

impl SitePath {
    pub fn site(&self) -> Option<&ShownFrame> {
        self.frames.get(self.site)
    }

    /// Whether it has frames of an interpreter.
    pub fn is_interpreted(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.language == Some(Language::Python))
    }

    /// What two paths of one row have in common: everything from the site outwards. Of a function that touches memory
    /// itself, the exact instruction does not matter.
    pub fn key(&self) -> Vec<ShownFrame> {
        let mut frames = self.frames.get(self.site..).unwrap_or_default().to_vec();
        if self.site == 0
            && let Some(first) = frames.first_mut()
        {
            (first.line, first.offset) = (None, None);
        }
        frames
    }
}

impl ShownFrame {
    /// For tables: `function (file:line)`, or `module+0xoffset`.
    pub fn label(&self) -> String {
        let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let place = self.file.as_deref().map(|file| match self.line {
            Some(line) => format!("{}:{line}", base(file)),
            None => base(file),
        });
        match (&self.function, place) {
            (Some(function), Some(place)) => format!("{function} ({place})"),
            (Some(function), None) => match &self.module {
                Some(module) => format!("{function} ({})", base(module)),
                None => function.clone(),
            },
            (None, _) => match (&self.module, self.offset) {
                (Some(module), Some(offset)) => format!("{}+{offset:#x}", base(module)),
                _ => "[no file]".to_owned(),
            },
        }
    }

    /// For JSON.
    pub fn object(&self) -> Value {
        Value::Object(vec![
            ("function", Value::text(self.function.clone())),
            ("file", Value::text(self.file.clone())),
            ("line", Value::unsigned(self.line.map(u64::from))),
            ("module", Value::text(self.module.clone())),
            ("offset", Value::unsigned(self.offset)),
            ("inlined", Value::Flag(self.inlined)),
            ("language", Value::text(self.language.map(Language::name))),
        ])
    }
}

/// The frames of a path. Those of an interpreter take the place of the interpreter's own code.
pub fn shown(path: &CallPath, known: &ProcessSamples) -> SitePath {
    let mut frames = Vec::new();
    for address in &path.addresses {
        let module = known.module(*address);
        if module.is_some_and(|module| is_python(&module.path)) && !path.interpreted.is_empty() {
            break;
        }
        compiled(*address, module, known.names.get(address).map(|names| &**names), &mut frames);
    }
    frames.extend(path.interpreted.iter().map(interpreted));
    let site = frames.iter().position(|frame| !frame.runtime);
    let site = site.unwrap_or_else(|| frames.len().saturating_sub(1));
    SitePath { frames, site, addresses: path.addresses.to_vec() }
}

fn compiled(
    address: u64,
    module: Option<&ModuleFact>,
    names: Option<&[FunctionName]>,
    frames: &mut Vec<ShownFrame>,
) {
    let library = module.is_none_or(|module| is_runtime_library(&module.path));
    let unnamed = ShownFrame {
        function: None,
        file: None,
        line: None,
        module: module.map(|module| printable(&module.path)),
        offset: module.map(|module| address - module.start + module.offset),
        inlined: false,
        language: None,
        runtime: library,
    };
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        frames.push(unnamed);
        return;
    };
    frames.extend(names.iter().map(|name| ShownFrame {
        runtime: library || is_runtime_function(&name.function),
        function: Some(name.function.to_string()),
        file: name.file.as_deref().map(str::to_owned),
        line: name.line,
        inlined: name.inlined,
        language: Some(name.language),
        ..unnamed.clone()
    }));
}

fn interpreted(frame: &InterpretedFrame) -> ShownFrame {
    ShownFrame {
        function: Some(frame.function.to_string()),
        file: Some(frame.file.to_string()),
        line: frame.line,
        module: None,
        offset: None,
        inlined: false,
        language: Some(Language::Python),
        runtime: frame.file.starts_with("<frozen "),
    }
}
