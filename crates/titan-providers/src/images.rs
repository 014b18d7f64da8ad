//! Images go to models that see; all others read a sentence in their place, and the person is told.
//!
//! Whether a model sees is known (the local one does not), said by its server before (Ollama), or found out: a server
//! that refuses a request for its images is asked once more without them.

use crate::failure::Vendor;
use crate::http::Endpoint;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use titan_protocol::{
    BlobId, Content, Image, ModelError, ModelEvent, ModelInfo, ModelRequest, ModelStream, Provider,
};

/// Images whose refusal is remembered; then it is found out anew.
const REFUSED_MAX: usize = 1_000;
/// Models of one server that were asked about.
const MODELS_MAX: usize = 100;

/// What is known of a provider's models.
pub(crate) enum Sight {
    /// None of them sees.
    None,
    /// It is found out.
    Unknown,
    /// The server says it of each model.
    Told(Box<Endpoint>),
}

/// A provider to which images are given as far as its models see.
pub(crate) struct Images {
    core: Arc<Core>,
}

struct Core {
    inner: Arc<dyn Provider>,
    /// The model when a request names none.
    model: String,
    sight: Sight,
    /// What servers said of their models.
    told: Mutex<HashMap<String, bool>>,
    /// Images that a model refused.
    refused: Mutex<HashSet<(String, BlobId)>>,
}

impl Images {
    pub(crate) fn new(inner: Arc<dyn Provider>, model: String, sight: Sight) -> Self {
        Self {
            core: Arc::new(Core {
                inner,
                model,
                sight,
                told: Mutex::default(),
                refused: Mutex::default(),
            }),
        }
    }
}

#[async_trait]
impl Provider for Images {
    fn name(&self) -> &str {
        self.core.inner.name()
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        if images(&request).next().is_none() {
            return self.core.inner.stream(request);
        }
        let talk = Talk {
            core: Arc::clone(&self.core),
            request,
            current: None,
            hidden: None,
            is_routed: false,
            has_spoken: false,
        };
        stream::unfold(talk, |mut talk| async move {
            talk.next().await.map(|item| (item, talk))
        })
        .boxed()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        self.core.inner.models().await
    }
}

impl Core {
    /// Whether a model sees, as far as it is known.
    async fn sees(&self, model: &str) -> Option<bool> {
        let endpoint = match &self.sight {
            Sight::None => return Some(false),
            Sight::Unknown => return None,
            Sight::Told(endpoint) => endpoint,
        };
        if let Some(told) = self.told.lock().get(model) {
            return Some(*told);
        }
        let vendor = Vendor {
            provider: self.inner.name().to_owned(),
            model: model.to_owned(),
        };
        let body = json!({"model": model});
        let shown = endpoint.json(&vendor, "api/show", &[], Some(&body)).await;
        // An old server says nothing of it, and one that can't be asked will say so with the request itself.
        let shown = shown.ok()?;
        let sees = shown["capabilities"].as_array()?;
        let sees = sees.iter().any(|ability| ability == "vision");
        let mut told = self.told.lock();
        if told.len() >= MODELS_MAX {
            told.clear();
        }
        told.insert(model.to_owned(), sees);
        Some(sees)
    }

    fn is_refused(&self, model: &str, image: &Image) -> bool {
        let key = (model.to_owned(), image.blob.clone());
        self.refused.lock().contains(&key)
    }

    fn refuse(&self, model: &str, request: &ModelRequest) {
        let mut refused = self.refused.lock();
        if refused.len() >= REFUSED_MAX {
            refused.clear();
        }
        let shown = images(request).filter(|(_, is_shown)| *is_shown);
        refused.extend(shown.map(|(image, _)| (model.to_owned(), image.blob.clone())));
    }
}

/// One reply, perhaps asked for twice.
struct Talk {
    core: Arc<Core>,
    /// As it was asked for.
    request: ModelRequest,
    current: Option<ModelStream>,
    /// Why images are hidden, until that is told.
    hidden: Option<String>,
    is_routed: bool,
    has_spoken: bool,
}

impl Talk {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        if self.current.is_none() {
            self.ask().await;
        }
        loop {
            if self.is_routed
                && let Some(why) = self.hidden.take()
            {
                return Some(Ok(ModelEvent::ImagesHidden { why }));
            }
            match self.current.as_mut()?.next().await {
                Some(Ok(ModelEvent::Route { .. })) if self.is_routed => {}
                Some(Ok(event)) => {
                    self.is_routed |= matches!(event, ModelEvent::Route { .. });
                    self.has_spoken |= event.is_content();
                    return Some(Ok(event));
                }
                Some(Err(error)) if !self.has_spoken && is_about_images(&error) && self.shows() => {
                    self.ask_without(&error);
                }
                other => return other,
            }
        }
    }

    fn model(&self) -> &str {
        self.request.model.as_deref().unwrap_or(&self.core.model)
    }

    async fn ask(&mut self) {
        let core = Arc::clone(&self.core);
        let model = self.model().to_owned();
        let sees = core.sees(&model).await;
        if sees == Some(false) && self.shows() {
            self.hidden = Some("it can't see".to_owned());
        }
        let request = shown(&self.request, |image| {
            sees != Some(false) && !core.is_refused(&model, image)
        });
        self.request = request;
        self.current = Some(core.inner.stream(self.request.clone()));
    }

    /// Whether any image is shown with what is asked.
    fn shows(&self) -> bool {
        images(&self.request).any(|(_, is_shown)| is_shown)
    }

    fn ask_without(&mut self, error: &ModelError) {
        self.core.refuse(self.model(), &self.request);
        self.hidden = Some(format!("it was refused ({error})"));
        self.request = shown(&self.request, |_| false);
        self.current = Some(self.core.inner.stream(self.request.clone()));
    }
}

/// The images of a request, and whether each is shown.
fn images(request: &ModelRequest) -> impl Iterator<Item = (&Image, bool)> {
    let parts = request.messages.iter().flat_map(|it| &it.content);
    parts.filter_map(|part| match part {
        Content::Image { image, base64 } => Some((image, base64.is_some())),
        _ => None,
    })
}

/// A request in which these images alone are shown; a sentence stands for each of the others.
fn shown(request: &ModelRequest, is_shown: impl Fn(&Image) -> bool) -> ModelRequest {
    let mut request = request.clone();
    for message in &mut request.messages {
        let mut content = Vec::new();
        for part in std::mem::take(&mut message.content) {
            let hidden = match &part {
                Content::Image { image, base64 } => base64.is_none() || !is_shown(image),
                _ => false,
            };
            match (part, content.last_mut()) {
                // The words that it was given with stay first.
                (Content::Image { image, .. }, Some(Content::Text { text })) if hidden => {
                    text.push_str("\n\n");
                    text.push_str(&sentence(&image));
                }
                (Content::Image { image, .. }, _) if hidden => content.push(Content::Text {
                    text: sentence(&image),
                }),
                (part, _) => content.push(part),
            }
        }
        message.content = content;
    }
    request
}

fn sentence(image: &Image) -> String {
    format!(
        "[The person gave an image here ({} pixels). You can't see it. If it matters, say so; do not guess what it shows.]",
        image.in_words()
    )
}

/// Whether a server refused a request for its images.
fn is_about_images(error: &ModelError) -> bool {
    const WORDS: [&str; 6] = [
        "image",
        " vision",
        "multimodal",
        "multi-modal",
        "mmproj",
        "content must be a string",
    ];
    let (ModelError::Rejected { detail, .. }
    | ModelError::Unavailable { detail, .. }
    | ModelError::NoModel { detail }) = error
    else {
        return false;
    };
    let said = detail.to_lowercase();
    WORDS.iter().any(|word| said.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::render;
    use titan_protocol::{ImageKind, Message, Role, Task};
    use titan_testkit::model::ScriptedModel;

    fn image(n: u8) -> Content {
        let bytes = [n];
        Content::Image {
            image: Image {
                blob: BlobId::of(&bytes),
                kind: ImageKind::Png,
                width: 8,
                height: 6,
                bytes: 1,
            },
            base64: Some("AA==".into()),
        }
    }

    fn request(content: Vec<Content>) -> ModelRequest {
        let role = Role::User;
        ModelRequest::new(Task::Chat, "", vec![Message { role, content }])
    }

    fn words() -> Content {
        Content::Text {
            text: "what is it?".to_owned(),
        }
    }

    fn rig(replies: &[&str], sight: Sight) -> (Images, ScriptedModel) {
        let model = ScriptedModel::new(replies.iter().copied());
        let images = Images::new(Arc::new(model.clone()), "m".to_owned(), sight);
        (images, model)
    }

    /// For each request, how many images were shown and how many told of.
    fn asked(model: &ScriptedModel) -> Vec<(usize, usize)> {
        let count = |request: &ModelRequest| {
            let text: String = request.messages.iter().map(Message::text).collect();
            let n_shown = images(request).filter(|(_, is_shown)| *is_shown).count();
            (n_shown, text.matches("You can't see it").count())
        };
        model.requests().iter().map(count).collect()
    }

    #[tokio::test]
    async fn a_model_that_cannot_see_is_told_so_and_so_is_the_person() {
        let (images, model) = rig(&["a guess", "hello"], Sight::None);
        let told = render(images.stream(request(vec![words(), image(1), image(2)]))).await;
        assert!(
            told.contains("hidden because it can't see\ntext \"a guess"),
            "{told}"
        );
        let told = render(images.stream(request(vec![words()]))).await;
        assert!(!told.contains("hidden"), "{told}");
        assert_eq!(asked(&model), [(0, 2), (0, 0)]);
    }

    #[tokio::test]
    async fn a_model_of_which_nothing_is_known_is_shown_all() {
        let (images, model) = rig(&["a cat"], Sight::Unknown);
        let told = render(images.stream(request(vec![words(), image(1)]))).await;
        assert!(!told.contains("hidden"), "{told}");
        assert_eq!(asked(&model), [(1, 0)]);
    }

    #[tokio::test]
    async fn a_server_that_refuses_images_is_asked_once_more_without_them_and_not_shown_them_again()
    {
        let refusal = "fail rejected this model does not support image input";
        let (images, model) = rig(&[refusal, "a guess", "another", "a dog"], Sight::Unknown);
        let told = render(images.stream(request(vec![words(), image(1)]))).await;
        assert_eq!(told.matches("route").count(), 1, "{told}");
        assert!(told.contains("does not support image input"), "{told}");
        assert!(told.contains("text \"a guess"), "{told}");
        render(images.stream(request(vec![words(), image(1)]))).await;
        // Another image may have been refused for what it was.
        render(images.stream(request(vec![words(), image(1), image(2)]))).await;
        assert_eq!(asked(&model), [(1, 0), (0, 1), (0, 1), (1, 1)]);
    }

    #[tokio::test]
    async fn an_image_that_is_not_at_hand_is_told_of() {
        let (images, model) = rig(&["ok"], Sight::Unknown);
        let mut old = image(1);
        if let Content::Image { base64, .. } = &mut old {
            *base64 = None;
        }
        let told = render(images.stream(request(vec![words(), old]))).await;
        assert!(!told.contains("hidden"), "nobody has to hear of it: {told}");
        assert_eq!(asked(&model), [(0, 1)]);
    }
}
