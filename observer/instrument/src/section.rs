//! The name of a table: in which view it is, and its key there.

/// One table of one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// The view's name in JSON.
    pub view: &'static str,
    /// The table's key in JSON.
    pub table: &'static str,
}

/// One page: the views that it shows, its main one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// One word.
    pub title: &'static str,
    /// Names of views as in JSON.
    pub views: Vec<&'static str>,
}
