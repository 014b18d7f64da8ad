//! A command-line program for WASI 0.2 as a stranger would write one. `program.wasm` was made of it (see README.md here).

use std::io::{Read, Write};
use std::time::Duration;
use wasi::sockets::network::IpAddressFamily;

const HELP: &str = "usage: program COMMAND [WORD...]\n\n  upper    standard input in capital letters\n  add      the sum of the words\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--help"] => print!("{HELP}"),
        ["upper"] => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).expect("text");
            print!("{}", text.to_uppercase());
        }
        ["add", ..] => println!(
            "{}",
            words[1..].iter().map(|word| number(word)).sum::<i64>()
        ),
        ["name"] => println!("{:?}", std::env::args().next()),
        ["environment"] => println!("{} variables", std::env::vars().count()),
        ["read", path] => println!(
            "{:?}",
            std::fs::read_to_string(path).map_err(|error| error.to_string())
        ),
        ["list", path] => println!(
            "{:?}",
            std::fs::read_dir(path)
                .map(|_| ())
                .map_err(|error| error.to_string())
        ),
        ["write", path] => println!(
            "{:?}",
            std::fs::write(path, "x").map_err(|error| error.to_string())
        ),
        ["connect"] => println!(
            "{:?}",
            wasi::sockets::tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).map(|_| ())
        ),
        ["resolve", name] => {
            let network = wasi::sockets::instance_network::instance_network();
            println!(
                "{:?}",
                wasi::sockets::ip_name_lookup::resolve_addresses(&network, name).map(|_| ())
            );
        }
        ["sleep"] => std::thread::sleep(Duration::from_secs(3600)),
        ["spin"] => loop {
            std::hint::black_box(());
        },
        ["flood"] => loop {
            std::io::stdout().write_all(&[b'x'; 4096]).expect("room");
        },
        ["mutter"] => {
            for _ in 0..10_000 {
                eprintln!("a line for whoever looks");
            }
            println!("done");
        }
        ["eat"] => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&eaten);
            }
        }
        ["panic"] => panic!("it gave up"),
        _ => {
            eprintln!("{HELP}");
            std::process::exit(2);
        }
    }
}

fn number(word: &str) -> i64 {
    word.parse().unwrap_or_else(|_| {
        eprintln!("{word:?} is no number");
        std::process::exit(1);
    })
}
