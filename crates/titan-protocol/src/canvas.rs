//! The canvas: what the agent draws for the person, and what the person does there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Surfaces that a session has at most; when one more is drawn, the one that was drawn longest ago goes.
pub const SURFACES_MAX: usize = 32;
/// The longest content of a surface, in bytes.
pub const SURFACE_BYTES_MAX: usize = 512 << 10;

/// Something that the agent draws. Drawing a name again replaces what it showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surface {
    /// Names it in its session: 1 to 64 of `[a-z0-9-]`.
    pub name: String,
    /// What stands above it; may be empty.
    pub title: String,
    /// How `content` is to be read.
    pub kind: SurfaceKind,
    /// For [`SurfaceKind::Code`], the language; else empty.
    pub language: String,
    /// At most [`SURFACE_BYTES_MAX`]. Foreign text as any that a model writes: who shows it makes it harmless.
    pub content: String,
}

/// How a surface's content is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurfaceKind {
    /// CommonMark.
    Markdown,
    /// A fragment or a page of HTML. Shown in a frame that reaches nothing.
    Html,
    /// An SVG image.
    Svg,
    /// Comma-separated values (RFC 4180), the first line being the head.
    Table,
    /// Comma-separated values: the first column names the points, each other column is a series.
    Chart,
    /// JSON, as in [`Form`].
    Form,
    /// Source code.
    Code,
    /// A `data:` URL of a PNG, JPEG, GIF or WebP image.
    Image,
    /// Edges, one a line: `from -> to` or `from -> to: label`; a line without an arrow is a node by itself.
    Diagram,
}

/// A form that a person can fill in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Its fields, in order; 1 to 40.
    pub fields: Vec<Field>,
    /// Its buttons; `submit` alone when there are none.
    #[serde(default)]
    pub actions: Vec<String>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Names its value, unique in the form.
    pub name: String,
    /// What the person reads; the name when empty.
    #[serde(default)]
    pub label: String,
    /// What can be entered.
    #[serde(default, rename = "type")]
    pub kind: FieldKind,
    /// What can be chosen, for [`FieldKind::Choice`].
    #[serde(default)]
    pub options: Vec<String>,
    /// What it holds at first.
    #[serde(default)]
    pub value: Option<Value>,
}

/// What can be entered in a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line.
    #[default]
    Text,
    /// Lines.
    Multiline,
    /// A number.
    Number,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// One of the options.
    Choice,
    /// Yes or no.
    Checkbox,
}

/// What a person did on a surface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanvasAction {
    /// The surface's name.
    pub surface: String,
    /// The button.
    pub action: String,
    /// What the fields hold.
    #[serde(default)]
    pub values: Map<String, Value>,
}
