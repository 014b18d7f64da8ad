//! Images that the person gives with what they say.

use crate::harness::{Rig, SESSION, Setup, is_end, transcript};
use bytes::Bytes;
use titan_protocol::{
    BlobId, Blobs, Client, ClientError, Content, Event, Forget, ImageBytes, Journal, Op, Record,
    SessionId, TurnId, TurnOptions,
};

/// The beginning of a PNG image of this width, which is all that is read of one here.
fn png(width: u32) -> ImageBytes {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(6_u32.to_be_bytes());
    ImageBytes(Bytes::from(bytes))
}

fn say(turn: u128, text: &str, images: Vec<ImageBytes>) -> Op {
    Op::UserTurn {
        session: SESSION,
        turn: TurnId::from_u128(turn),
        text: text.to_owned(),
        images,
        options: TurnOptions {
            workspace: Some("/workspace".into()),
            ..TurnOptions::default()
        },
    }
}

async fn turn(rig: &Rig, op: Op) -> String {
    let after = rig.last().await;
    rig.submit(op).await;
    transcript(&rig.read(after, &[], is_end).await)
}

/// The images that the model was shown last, in base64; a dash for one that it was not.
fn shown(rig: &Rig) -> Vec<String> {
    let request = rig.requests().pop().expect("the model was asked");
    let parts = request.messages.into_iter().flat_map(|it| it.content);
    let images = parts.filter_map(|part| match part {
        Content::Image { base64, .. } => Some(base64.map_or("-".to_owned(), |it| it.to_string())),
        _ => None,
    });
    images.collect()
}

#[tokio::test]
async fn a_model_is_shown_what_the_person_gives_also_later_and_after_a_restart() {
    let setup = Setup::new(["a cat", "still a cat"]);
    let store = setup.store.clone();
    let rig = setup.open().await;
    let text = turn(&rig, say(1, "what is it?", vec![png(8), png(9)])).await;
    assert!(
        text.contains("images_given PNG, 8 × 6; PNG, 9 × 6"),
        "{text}"
    );
    let given = [png(8).to_base64(), png(9).to_base64()];
    assert_eq!(shown(&rig), given);
    drop(rig);
    let mut setup = Setup::new(["still a cat"]);
    setup.store = store;
    let rig = setup.open().await;
    turn(&rig, say(2, "sure?", Vec::new())).await;
    assert_eq!(shown(&rig), given);
}

#[tokio::test]
async fn an_image_steers_too_and_comes_after_what_it_was_said_with() {
    let rig = Setup::new(["gate a\ncall read {\"path\":\"a.txt\"}", "seen"])
        .open()
        .await;
    rig.submit(say(1, "look", Vec::new())).await;
    rig.gate("a").reached().await;
    rig.submit(say(2, "and at this", vec![png(8)])).await;
    rig.gate("a").open();
    let text = transcript(&rig.read(0, &[], is_end).await);
    let (_, rest) = text
        .split_once("steered \"and at this\"\n")
        .expect("it was steered");
    assert!(rest.starts_with("images_given"), "{text}");
    assert_eq!(shown(&rig), [png(8).to_base64()]);
}

#[tokio::test]
async fn what_an_image_says_is_a_stranger_s() {
    let remember = "call remember {\"text\":\"x\"}";
    let rig = Setup::new([remember, "asked"]).open().await;
    let text = turn(&rig, say(1, "keep it in mind", vec![png(8)])).await;
    assert!(text.contains("approval_requested"), "{text}");
    assert!(text.contains("an image that you gave"), "{text}");
}

#[tokio::test]
async fn an_image_is_forgotten_with_its_turn_unless_another_names_it() {
    let rig = Setup::new(["one", "two"]).open().await;
    turn(&rig, say(1, "look", vec![png(8), png(9)])).await;
    turn(&rig, say(2, "again", vec![png(9)])).await;
    let what = Forget::Turn {
        session: SESSION,
        turn: TurnId::from_u128(1),
    };
    rig.submit(Op::Forget { what }).await;
    for (image, is_kept) in [(png(8), false), (png(9), true)] {
        let blob = BlobId::of(&image.0);
        let kept = Blobs::get(&*rig.store, &blob)
            .await
            .expect("memory can be read");
        assert_eq!(kept.is_some(), is_kept);
    }
    let all = Journal::read(&*rig.store, None, 0, usize::MAX).await;
    assert!(!format!("{all:?}").contains(BlobId::of(&png(8).0).as_str()));
}

#[tokio::test]
async fn what_is_no_image_begins_no_turn() {
    let rig = Setup::new(["never said"]).open().await;
    let odd = ImageBytes(Bytes::from_static(b"<svg/>"));
    for (images, words) in [
        (vec![png(8), odd], "Image 2 is not taken: it is no PNG"),
        (vec![png(8); 9], "at most 8 fit"),
        (vec![png(9_000)], "9000 × 6 pixels"),
    ] {
        let refused = rig.engine.submit(say(1, "look", images)).await;
        let why = refused.expect_err(words).to_string();
        assert!(why.contains(words), "{why}");
    }
    assert!(rig.requests().is_empty());
    assert_eq!(rig.last().await, 0);
}

#[tokio::test]
async fn the_person_is_told_once_a_turn_that_a_model_cannot_see() {
    let replies = [
        "hidden it can't see\ncall read {\"path\":\"a.txt\"}",
        "hidden it can't see\na guess",
    ];
    let rig = Setup::new(replies).open().await;
    let text = turn(&rig, say(1, "what is it?", vec![png(8)])).await;
    let notice = "notice Warning \"The model was not shown the images, because it can't see.";
    assert_eq!(text.matches(notice).count(), 1, "{text}");
}

/// Where the records of a session that tell of images are.
async fn given_at(rig: &Rig) -> Vec<u64> {
    let records = Journal::read(&*rig.store, Some(SESSION), 0, usize::MAX).await;
    let records = records.expect("memory can be read");
    let is_told = |record: &&Record| matches!(record.event, Event::ImagesGiven { .. });
    records.iter().filter(is_told).map(|it| it.seq).collect()
}

#[tokio::test]
async fn an_image_is_given_back_by_the_record_that_tells_of_it_in_a_branch_too() {
    let rig = Setup::new(["one", "two"]).open().await;
    turn(&rig, say(1, "look", vec![png(8), png(9)])).await;
    turn(&rig, say(2, "again", vec![png(10)])).await;
    let at = given_at(&rig).await;
    let branch = SessionId::from_u128(2);
    rig.submit(Op::Branch {
        session: SESSION,
        after: TurnId::from_u128(1),
        into: branch,
    })
    .await;
    for (session, at, number, width) in [
        (SESSION, at[0], 0, 8),
        (SESSION, at[0], 1, 9),
        (SESSION, at[1], 0, 10),
        (branch, at[0], 1, 9),
    ] {
        let image = rig.engine.image(session, at, number).await;
        assert_eq!(image, Ok(png(width)), "{session} {at} {number}");
    }
    // Nothing else can be had so: no other record, no other number, no other session's.
    let other = SessionId::from_u128(3);
    for (session, at, number) in [
        (SESSION, at[0], 2),
        (SESSION, at[0] - 1, 0),
        (SESSION, at[0] + 1, 0),
        (SESSION, 0, 0),
        (SESSION, u64::MAX, 0),
        (branch, at[1], 0),
        (other, at[0], 0),
    ] {
        let refused = rig.engine.image(session, at, number).await;
        let is_refused = matches!(refused, Err(ClientError::Refused(_)));
        assert!(is_refused, "{session} {at} {number}: {refused:?}");
    }
    // What is forgotten is not given back, in the branch either.
    let what = Forget::Turn {
        session: SESSION,
        turn: TurnId::from_u128(1),
    };
    rig.submit(Op::Forget { what }).await;
    for session in [SESSION, branch] {
        let forgotten = rig.engine.image(session, at[0], 0).await;
        assert!(matches!(forgotten, Err(ClientError::Refused(_))));
    }
    assert_eq!(rig.engine.image(SESSION, at[1], 0).await, Ok(png(10)));
}
