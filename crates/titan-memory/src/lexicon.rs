//! Words as numbers, counted, so that a word that nothing holds any more is gone.

use std::collections::HashMap;

/// Words and their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lexicon {
    numbers: HashMap<Box<str>, u32>,
    entries: Vec<(Box<str>, u32)>,
    free: Vec<u32>,
}

impl Lexicon {
    /// The number of a word, which is held once more.
    pub(crate) fn hold(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            self.entries[*number as usize].1 += 1;
            return *number;
        }
        let entry = (Box::from(word), 1);
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.numbers.insert(word.into(), number);
        number
    }

    /// Holds a word once less. Whether it is gone.
    pub(crate) fn release(&mut self, number: u32) -> bool {
        let entry = &mut self.entries[number as usize];
        entry.1 -= 1;
        if entry.1 > 0 {
            return false;
        }
        let word = std::mem::take(&mut entry.0);
        self.numbers.remove(&word);
        self.free.push(number);
        true
    }

    /// The number of a word that is held.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    pub(crate) fn word(&self, number: u32) -> &str {
        &self.entries[number as usize].0
    }

    /// Words that are held.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}
