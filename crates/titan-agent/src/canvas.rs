//! What is on a session's canvas, and what a model reads when the person does something there.

use titan_protocol::{CanvasAction, Event, SURFACES_MAX, Surface, SurfaceKind};

/// The surfaces that are there, the one drawn last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Canvas(Vec<(String, SurfaceKind)>);

impl Canvas {
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::CanvasDrawn { surface } => self.draw(surface),
            Event::CanvasRemoved { name } => self.remove(name),
            _ => {}
        }
    }

    fn draw(&mut self, surface: &Surface) {
        self.remove(&surface.name);
        self.0.push((surface.name.clone(), surface.kind));
        let surplus = self.0.len().saturating_sub(SURFACES_MAX);
        self.0.drain(..surplus);
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Whether the person can do this.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn admits(&self, act: &CanvasAction) -> Result<(), String> {
        let kind = self.0.iter().find(|(name, _)| *name == act.surface);
        match kind {
            // A page may have buttons of its own.
            Some((_, SurfaceKind::Form | SurfaceKind::Html)) => Ok(()),
            Some(_) => Err(format!(
                "There is nothing to press on {:?}: it is no form and no page.",
                act.surface
            )),
            None => Err(format!(
                "There is no surface {:?} on this session's canvas; it may have been taken away.",
                act.surface
            )),
        }
    }
}

/// What the model reads.
pub(crate) fn words(act: &CanvasAction) -> String {
    let CanvasAction {
        surface,
        action,
        values,
    } = act;
    let values = serde_json::Value::Object(values.clone());
    format!("[On the canvas, the person pressed {action:?} on {surface:?}]\n{values}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(n: usize, kind: SurfaceKind) -> Event {
        let surface = Surface {
            name: format!("s{n}"),
            title: String::new(),
            kind,
            language: String::new(),
            content: "x".to_owned(),
        };
        Event::CanvasDrawn { surface }
    }

    fn press(n: usize) -> CanvasAction {
        CanvasAction {
            surface: format!("s{n}"),
            action: "submit".to_owned(),
            values: serde_json::Map::new(),
        }
    }

    #[test]
    fn the_surface_that_was_drawn_longest_ago_goes_first() {
        let mut canvas = Canvas::default();
        (0..SURFACES_MAX).for_each(|n| canvas.apply(&drawn(n, SurfaceKind::Form)));
        canvas.apply(&drawn(0, SurfaceKind::Form));
        canvas.apply(&drawn(SURFACES_MAX, SurfaceKind::Form));
        assert_eq!(canvas.0.len(), SURFACES_MAX);
        assert!(canvas.admits(&press(0)).is_ok());
        assert!(canvas.admits(&press(1)).is_err());
        canvas.apply(&Event::CanvasRemoved {
            name: "s0".to_owned(),
        });
        assert!(canvas.admits(&press(0)).is_err());
    }

    #[test]
    fn only_forms_and_pages_can_be_acted_on() {
        let mut canvas = Canvas::default();
        canvas.apply(&drawn(1, SurfaceKind::Table));
        assert!(canvas.admits(&press(1)).is_err());
    }
}
