//! What a function takes and returns, and what a tracepoint passes to programs.

use super::{
    Btf, MAX_DEPTH, Named,
    layout::kind::{POINTER, PROTOTYPE, STRUCT, UNION},
};

impl Btf {
    /// What the wanted function takes and returns, or what the wanted tracepoint passes to programs: each argument as
    /// its width in bits or the type that it points to, such as `sock *, 32, 32 -> 64`.
    pub fn prototype(&self, named: Named, name: &str) -> Option<String> {
        let mut at = self.begin(self.id(named, name)?)?;
        // The type of a tracepoint is a pointer to a function. The first argument of that function is the program's own
        // data.
        let own = usize::from(named == Named::Typedef);
        for _ in 0..MAX_DEPTH {
            let info = self.word(at + 4);
            if info >> 24 & 31 != PROTOTYPE {
                at = self.begin(self.word(at + 8))?;
                continue;
            }
            let argument = |index: usize| self.described(self.word(at + 16 + index * 8));
            let count = (info & 0xffff) as usize;
            let arguments: Vec<String> = (own..count).map(argument).collect();
            let mut text = arguments.join(", ");
            let result = self.word(at + 8);
            if own == 0 && result != 0 {
                text.push_str(" -> ");
                text.push_str(&self.described(result));
            }
            return Some(text);
        }
        None
    }

    /// A type as a program sees a value of it: its width in bits, or the type that it points to.
    fn described(&self, id: u32) -> String {
        let id = self.bare(id);
        let named = |id: u32| {
            let begin = self.begin(id)?;
            let name = self.name(self.word(begin));
            (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
        };
        match self.kind(id) {
            Some(POINTER) => {
                let to = self.bare(self.begin(id).map_or(0, |begin| self.word(begin + 8)));
                format!("{} *", named(to).unwrap_or_else(|| "void".to_owned()))
            }
            Some(STRUCT | UNION) => named(id).unwrap_or_else(|| "struct".to_owned()),
            _ => {
                let bits = self.size(id, 0).map(|bytes| u64::from(bytes) * 8);
                bits.map_or_else(|| "?".to_owned(), |bits| bits.to_string())
            }
        }
    }
}
