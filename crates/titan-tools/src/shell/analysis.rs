//! What a shell script would do, claimed from its parsed form before it runs. Pure: names and paths are as written;
//! [`super::effects`] resolves them in a workbench.
//!
//! The claims are an upper bound: what can't be known before the script runs (expansions, evaluated text, changed
//! environments, unknown programs) is claimed as "may do anything". They decide whom to ask; the boundary is the
//! workbench.

use super::programs::{
    self, ALTERING, BUILTINS, COSMETIC_VARIABLES, FIND_TESTS, FIND_VALUED, GIT_LONG, GIT_LOOKERS,
    GIT_NETWORK, GitOperands, NETWORK, Options, Reads, SHELLS, Sorted, VERSIONED, Writes, sort,
};
use super::scripts::{awk_only_looks, sed_only_looks};
use super::segment::Segmenter;
use super::toolchains::{self, Cache, below_home};
use super::words::{Argument, Kind, Opaque, Scanned, parse, scan, scan_here_document};
use brush_parser::ast;
use url::Url;

/// Scripts within scripts that are followed.
const DEPTH_MAX: usize = 8;
/// Scripts that are parsed for one script.
const SCRIPTS_MAX: usize = 128;
/// Commands that are looked at, those in loops and functions several times.
const COMMANDS_MAX: usize = 4_096;
/// Claims that are kept apart; a script with more counts as opaque.
const CLAIMS_MAX: usize = 256;
/// Folders that a command may be in, as far as is followed.
const FOLDERS_MAX: usize = 4;

/// One thing that a script would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Read(Place),
    Write(Place),
    Run {
        program: String,
        /// Whether the shell runs it itself.
        is_builtin: bool,
        arguments: Vec<String>,
        reads_only: bool,
    },
    Network {
        host: String,
        port: u16,
    },
    /// Writes all below this folder.
    Fill(Place),
    /// Fills a toolchain's cache.
    Cache(&'static Cache),
    /// Fills the folder where `cargo`, run in this folder, puts what it builds.
    CargoTarget(String),
    /// Changes the settings of the repository that this folder is in.
    GitSettings(String),
    /// Writes the repository that this folder is in, wherever that keeps its files.
    Repository(String),
}

/// A path as written, in the workbench's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This path.
    At(String),
    /// This folder, and links below it as deep as said are followed.
    Below {
        folder: String,
        depth_max: Option<usize>,
    },
    /// Not known.
    Anywhere,
}

/// What a script would do, each thing once, in order. It is read statement by statement, as it is while it is written.
pub(super) fn analyze(script: &str) -> Vec<Claim> {
    let mut analysis = Analysis::default();
    let mut statements = Segmenter::default().push(script);
    let given = statements.iter().map(String::len).sum();
    statements.push(script[given..].to_owned());
    let mut claims = Vec::new();
    for claim in statements
        .iter()
        .flat_map(|statement| analysis.add(statement))
    {
        if !claims.contains(&claim) {
            claims.push(claim);
        }
    }
    if claims.len() > CLAIMS_MAX {
        return vec![opaque(script)];
    }
    if analysis.0.is_altered {
        claims.iter_mut().for_each(distrust);
    }
    claims
}

/// What is known of a script after the part that was read.
#[derive(Clone)]
pub(super) struct Analysis(Walker);

impl Default for Analysis {
    fn default() -> Self {
        Self(Walker {
            claims: Vec::new(),
            folders: Some(vec![String::new()]),
            depth: 0,
            scripts: 0,
            commands: 0,
            is_altered: false,
            moves_later: false,
            target: None,
        })
    }
}

impl Analysis {
    /// Reads on: what this next part would do, each thing once, in order.
    pub(super) fn add(&mut self, script: &str) -> Vec<Claim> {
        let walker = &mut self.0;
        walker.scripts = 0;
        walker.commands = 0;
        walker.script(script);
        let mut claims = std::mem::take(&mut walker.claims);
        if claims.len() > CLAIMS_MAX || walker.commands > COMMANDS_MAX {
            walker.is_altered = true;
            walker.folders = None;
            return vec![opaque(script)];
        }
        if walker.is_altered {
            claims.iter_mut().for_each(distrust);
        }
        claims
    }
}

fn opaque(source: &str) -> Claim {
    Claim::Run {
        program: "bash".to_owned(),
        is_builtin: false,
        arguments: vec!["-c".to_owned(), source.to_owned()],
        reads_only: false,
    }
}

fn distrust(claim: &mut Claim) {
    if let Claim::Run { reads_only, .. } = claim {
        *reads_only = false;
    }
}

#[derive(Clone)]
struct Walker {
    claims: Vec<Claim>,
    /// Where commands may run, relative to the workspace or absolute; `None` when not known.
    folders: Option<Vec<String>>,
    depth: usize,
    scripts: usize,
    commands: usize,
    /// Whether something may have changed what command names mean.
    is_altered: bool,
    /// Whether a function or handler may change the folder at any time.
    moves_later: bool,
    /// What `CARGO_TARGET_DIR` was set to.
    target: Option<Argument>,
}

impl Walker {
    // --- What a script is made of ---------------------------------------------------------------------------------

    fn script(&mut self, script: &str) {
        self.scripts += 1;
        let parsed = if self.depth < DEPTH_MAX && self.scripts <= SCRIPTS_MAX {
            parse(script)
        } else {
            Err(Opaque)
        };
        match parsed {
            Ok(program) => {
                self.depth += 1;
                program
                    .complete_commands
                    .iter()
                    .for_each(|list| self.list(list));
                self.depth -= 1;
            }
            Err(Opaque) => self.unknown(script),
        }
    }

    /// Something that may do anything.
    fn unknown(&mut self, source: &str) {
        self.claim(opaque(source));
        self.is_altered = true;
        self.folders = None;
    }

    fn claim(&mut self, claim: Claim) {
        if !self.claims.contains(&claim) && self.claims.len() <= CLAIMS_MAX {
            self.claims.push(claim);
        }
    }

    fn list(&mut self, list: &ast::CompoundList) {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            match separator {
                ast::SeparatorOperator::Async => self.apart(|walker| walker.and_or(and_or)),
                ast::SeparatorOperator::Sequence => self.and_or(and_or),
            }
        }
    }

    /// Runs `inside` where it can't move the folder of what comes after.
    fn apart(&mut self, inside: impl FnOnce(&mut Self)) {
        let before = self.folders.clone();
        inside(self);
        self.folders = if self.moves_later { None } else { before };
    }

    fn and_or(&mut self, list: &ast::AndOrList) {
        let before = self.folders.clone();
        self.pipeline(&list.first);
        for next in &list.additional {
            match next {
                ast::AndOr::And(pipeline) => self.pipeline(pipeline),
                ast::AndOr::Or(pipeline) => {
                    self.may_also_be_in(before.clone());
                    self.pipeline(pipeline);
                }
            }
        }
        self.may_also_be_in(before);
    }

    fn may_also_be_in(&mut self, others: Option<Vec<String>>) {
        self.folders = match (self.folders.take(), others) {
            (Some(mut folders), Some(others)) => {
                folders.extend(others);
                folders.sort();
                folders.dedup();
                (folders.len() <= FOLDERS_MAX).then_some(folders)
            }
            _ => None,
        };
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline) {
        let before = self.folders.clone();
        match pipeline.seq.as_slice() {
            [command] => self.command(command),
            commands => {
                for command in commands {
                    self.apart(|walker| walker.command(command));
                }
            }
        }
        if pipeline.bang {
            self.may_also_be_in(before);
        }
    }

    fn command(&mut self, command: &ast::Command) {
        self.commands += 1;
        if self.commands > COMMANDS_MAX {
            return;
        }
        match command {
            ast::Command::Simple(simple) => self.simple(simple),
            ast::Command::Compound(compound, redirects) => {
                self.redirects(redirects.as_ref());
                self.compound(compound);
            }
            ast::Command::Function(function) => self.function(function),
            ast::Command::ExtendedTest(test, redirects) => {
                self.redirects(redirects.as_ref());
                self.extended_test(&test.expr);
            }
        }
    }

    fn compound(&mut self, compound: &ast::CompoundCommand) {
        match compound {
            ast::CompoundCommand::Arithmetic(arithmetic) => self.arithmetic(&arithmetic.expr.value),
            ast::CompoundCommand::ArithmeticForClause(clause) => {
                self.unknown("for ((…))");
                self.repeated(|walker| walker.list(&clause.body.list));
            }
            ast::CompoundCommand::BraceGroup(group) => self.list(&group.list),
            ast::CompoundCommand::Subshell(subshell) => {
                self.apart(|walker| walker.list(&subshell.list));
            }
            ast::CompoundCommand::ForClause(clause) => {
                self.variable(&clause.variable_name);
                let values = clause.values.as_deref().unwrap_or_default();
                values.iter().for_each(|word| {
                    self.word(&word.value);
                });
                self.repeated(|walker| walker.list(&clause.body.list));
            }
            ast::CompoundCommand::CaseClause(clause) => self.case(clause),
            ast::CompoundCommand::IfClause(clause) => self.if_clause(clause),
            ast::CompoundCommand::WhileClause(clause)
            | ast::CompoundCommand::UntilClause(clause) => {
                self.repeated(|walker| {
                    walker.list(&clause.0);
                    walker.list(&clause.1.list);
                });
            }
            ast::CompoundCommand::Coprocess(coprocess) => {
                self.apart(|walker| walker.command(&coprocess.body));
            }
        }
    }

    /// A body that runs any number of times: where it moves to, it may start from the next time.
    fn repeated(&mut self, mut body: impl FnMut(&mut Self)) {
        let before = self.folders.clone();
        body(self);
        if self.folders != before {
            self.folders = None;
            body(self);
            self.folders = None;
        }
    }

    fn case(&mut self, clause: &ast::CaseClauseCommand) {
        self.word(&clause.value.value);
        let before = self.folders.clone();
        for case in &clause.cases {
            for pattern in &case.patterns {
                self.word(&pattern.value);
            }
            if let Some(list) = &case.cmd {
                self.list(list);
                self.may_also_be_in(before.clone());
            }
        }
    }

    fn if_clause(&mut self, clause: &ast::IfClauseCommand) {
        self.list(&clause.condition);
        let before = self.folders.clone();
        self.list(&clause.then);
        self.may_also_be_in(before.clone());
        for branch in clause.elses.as_deref().unwrap_or_default() {
            if let Some(condition) = &branch.condition {
                self.list(condition);
            }
            self.list(&branch.body);
            self.may_also_be_in(before.clone());
        }
    }

    /// A function's body is claimed where it is defined; it may be called from anywhere.
    fn function(&mut self, function: &ast::FunctionDefinition) {
        let ast::FunctionBody(body, redirects) = &function.body;
        let before = self.folders.take();
        self.redirects(redirects.as_ref());
        self.folders = Some(vec![MARKER.to_owned()]);
        self.silently(|walker| walker.compound(body));
        let moves = self.folders.as_deref() != Some(&[MARKER.to_owned()]);
        self.folders = None;
        self.compound(body);
        self.moves_later |= moves;
        self.folders = if moves { None } else { before };
    }

    /// Runs `inside` for what it does to the folder alone.
    fn silently(&mut self, inside: impl FnOnce(&mut Self)) {
        let claims = self.claims.len();
        inside(self);
        self.claims.truncate(claims);
    }

    fn arithmetic(&mut self, expression: &str) {
        let is_plain = expression
            .chars()
            .all(|c| c.is_ascii_digit() || "+-*/%()<>=!&|^~?: ".contains(c));
        if !is_plain {
            self.unknown(expression);
        }
    }

    fn extended_test(&mut self, test: &ast::ExtendedTestExpr) {
        match test {
            ast::ExtendedTestExpr::And(left, right) | ast::ExtendedTestExpr::Or(left, right) => {
                self.extended_test(left);
                self.extended_test(right);
            }
            ast::ExtendedTestExpr::Not(inner) | ast::ExtendedTestExpr::Parenthesized(inner) => {
                self.extended_test(inner);
            }
            ast::ExtendedTestExpr::UnaryTest(predicate, word) => {
                self.word(&word.value);
                if matches!(
                    predicate,
                    ast::UnaryPredicate::ShellVariableIsSetAndAssigned
                        | ast::UnaryPredicate::ShellVariableIsSetAndNameRef
                ) {
                    self.unknown(&word.value);
                }
            }
            ast::ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                self.word(&left.value);
                self.word(&right.value);
                if evaluates(predicate) {
                    self.arithmetic(&left.value);
                    self.arithmetic(&right.value);
                }
            }
        }
    }

    // --- Words, assignments, redirections -------------------------------------------------------------------------

    /// What a word becomes; claims what runs while it is expanded.
    fn word(&mut self, word: &str) -> Vec<Argument> {
        match scan(word) {
            Ok(scanned) => self.expanded(scanned),
            Err(Opaque) => {
                self.unknown(word);
                vec![Argument::unknown(word)]
            }
        }
    }

    fn expanded(&mut self, scanned: Scanned) -> Vec<Argument> {
        for script in &scanned.scripts {
            self.apart(|walker| walker.script(script));
        }
        scanned.arguments
    }

    /// One word that is to be one argument.
    fn single(&mut self, word: &str) -> Argument {
        let mut arguments = self.word(word);
        match arguments.pop() {
            Some(argument) if arguments.is_empty() => argument,
            _ => Argument::unknown(word),
        }
    }

    fn assignment(&mut self, assignment: &ast::Assignment) {
        if let ast::AssignmentName::ArrayElementName(_, index) = &assignment.name {
            self.arithmetic(index);
        }
        match &assignment.value {
            ast::AssignmentValue::Scalar(word) => {
                self.assigned(&word.value);
            }
            ast::AssignmentValue::Array(elements) => {
                for (key, value) in elements {
                    if let Some(key) = key {
                        self.arithmetic(&key.value);
                    }
                    self.word(&value.value);
                }
            }
        }
    }

    /// Where `cargo` is told to build from here on. An assignment before one command counts for the next ones too: that
    /// claims more, never less.
    fn note_target(&mut self, assignment: &ast::Assignment) {
        if let ("CARGO_TARGET_DIR", ast::AssignmentValue::Scalar(value)) =
            (name_of(&assignment.name), &assignment.value)
        {
            let value = value.value.as_str();
            let spelt = single_of(value);
            self.target = Some(below_home(&spelt.text, spelt.kind));
        }
    }

    fn assigned(&mut self, value: &str) {
        if !value.is_empty() {
            self.word(value);
        }
    }

    /// A shell variable is set. Names in capitals may be in the environment and change what programs do.
    fn variable(&mut self, name: &str) {
        self.is_altered |= !is_local_name(name);
    }

    fn redirects(&mut self, redirects: Option<&ast::RedirectList>) {
        for redirect in redirects.map(|list| list.0.as_slice()).unwrap_or_default() {
            self.redirect(redirect);
        }
    }

    fn redirect(&mut self, redirect: &ast::IoRedirect) {
        match redirect {
            ast::IoRedirect::File(_, kind, target) => self.redirect_file(kind, target),
            ast::IoRedirect::HereDocument(_, document) => self.here_document(document),
            ast::IoRedirect::HereString(_, word) => {
                self.word(&word.value);
            }
            ast::IoRedirect::OutputAndError(word, _) => {
                self.redirect_word(&word.value, false, true)
            }
        }
    }

    /// Where a here-document ends is certain only for a plain mark, and without joined lines: bash joins them before
    /// it looks for the mark.
    fn here_document(&mut self, document: &ast::IoHereDocument) {
        let text = document.doc.value.as_str();
        let mark = document.here_end.value.as_str();
        let bare = ['\'', '"']
            .iter()
            .find_map(|quote| mark.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(mark);
        let is_plain = !bare.is_empty()
            && bare
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let joins = document.requires_expansion && text.contains("\\\n");
        if !is_plain || joins {
            return self.unknown(text);
        }
        if document.requires_expansion {
            match scan_here_document(text) {
                Ok(scanned) => {
                    self.expanded(scanned);
                }
                Err(Opaque) => self.unknown(text),
            }
        }
    }

    fn redirect_file(
        &mut self,
        kind: &ast::IoFileRedirectKind,
        target: &ast::IoFileRedirectTarget,
    ) {
        use ast::IoFileRedirectKind as Direction;
        let (reads, writes) = match kind {
            Direction::Read | Direction::DuplicateInput => (true, false),
            Direction::Write
            | Direction::Append
            | Direction::Clobber
            | Direction::DuplicateOutput => (false, true),
            Direction::ReadAndWrite => (true, true),
        };
        match target {
            ast::IoFileRedirectTarget::Filename(word) => {
                self.redirect_word(&word.value, reads, writes)
            }
            ast::IoFileRedirectTarget::Fd(_) => {}
            ast::IoFileRedirectTarget::ProcessSubstitution(_, subshell) => {
                self.apart(|walker| walker.list(&subshell.list));
            }
            ast::IoFileRedirectTarget::Duplicate(word) => {
                let is_descriptor = word
                    .value
                    .strip_suffix('-')
                    .unwrap_or(&word.value)
                    .bytes()
                    .all(|b| b.is_ascii_digit());
                if !is_descriptor {
                    self.redirect_word(&word.value, reads, writes);
                }
            }
        }
    }

    fn redirect_word(&mut self, word: &str, reads: bool, writes: bool) {
        let target = self.single(word);
        if let Some((host, port)) = target.as_known().and_then(socket) {
            return self.claim(Claim::Network { host, port });
        }
        if reads {
            self.reads(&target);
        }
        if writes {
            self.writes(&target);
        }
    }

    // --- Places ---------------------------------------------------------------------------------------------------

    fn places(&self, path: &Argument) -> Vec<Place> {
        let text = path.text.as_str();
        let is_absolute = text.starts_with('/') || path.kind == Kind::Home;
        let spelt = match path.kind {
            Kind::Unknown => return vec![Place::Anywhere],
            Kind::Known if text.starts_with('~') => format!("./{text}"),
            _ => text.to_owned(),
        };
        let starts = match (&self.folders, is_absolute) {
            (_, true) => vec![spelt],
            (None, false) => return vec![Place::Anywhere],
            (Some(folders), false) => folders.iter().map(|folder| join(folder, &spelt)).collect(),
        };
        starts
            .into_iter()
            .map(|start| match path.kind {
                Kind::Pattern => below(&start),
                _ => Place::At(start),
            })
            .collect()
    }

    fn reads(&mut self, path: &Argument) {
        if !path.as_known().is_some_and(is_standard_stream) {
            for place in self.places(path) {
                self.claim(Claim::Read(place));
            }
        }
    }

    fn writes(&mut self, path: &Argument) {
        if !path.as_known().is_some_and(is_standard_stream) {
            for place in self.places(path) {
                self.claim(Claim::Write(place));
            }
        }
    }

    fn fills(&mut self, folder: &Argument) {
        for place in self.places(folder) {
            self.claim(Claim::Fill(place));
        }
    }

    /// The folders that a command may run in, as far as they are known.
    fn here(&self) -> Vec<String> {
        let folders = self.folders.clone().unwrap_or_default();
        let spelt = |folder: String| {
            if folder.is_empty() {
                ".".to_owned()
            } else {
                folder
            }
        };
        folders.into_iter().map(spelt).collect()
    }

    fn reads_here(&mut self) {
        self.reads(&Argument::known("."));
    }

    // --- Simple commands ------------------------------------------------------------------------------------------

    fn simple(&mut self, simple: &ast::SimpleCommand) {
        let mut names = Vec::new();
        let prefix = simple.prefix.as_ref().map(|prefix| prefix.0.as_slice());
        for item in prefix.unwrap_or_default() {
            match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                    self.assignment(assignment);
                    self.note_target(assignment);
                    names.push(name_of(&assignment.name).to_owned());
                }
                other => {
                    self.item(other);
                }
            }
        }
        let mut words = Vec::new();
        if let Some(word) = &simple.word_or_name {
            words.extend(self.word(&word.value));
        }
        let suffix = simple.suffix.as_ref().map(|suffix| suffix.0.as_slice());
        for item in suffix.unwrap_or_default() {
            words.extend(self.item(item));
        }
        if words.is_empty() {
            return names.iter().for_each(|name| self.variable(name));
        }
        let is_read = words[0].as_known() == Some("read");
        let is_clean = names
            .iter()
            .all(|name| COSMETIC_VARIABLES.contains(&name.as_str()) || (is_read && name == "IFS"));
        self.invoke(&words, is_clean);
    }

    fn item(&mut self, item: &ast::CommandPrefixOrSuffixItem) -> Vec<Argument> {
        match item {
            ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => {
                self.redirect(redirect);
                Vec::new()
            }
            ast::CommandPrefixOrSuffixItem::Word(word) => self.word(&word.value),
            ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                self.assignment(assignment);
                self.note_target(assignment);
                match assignment.value {
                    ast::AssignmentValue::Scalar(_) => self.word(&word.value),
                    ast::AssignmentValue::Array(_) => vec![Argument::unknown(&word.value)],
                }
            }
            ast::CommandPrefixOrSuffixItem::ProcessSubstitution(_, subshell) => {
                self.apart(|walker| walker.list(&subshell.list));
                vec![Argument::known("/dev/fd/63")]
            }
        }
    }

    /// A command by its words, in an environment that is clean or not.
    fn invoke(&mut self, words: &[Argument], is_clean: bool) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let Some(name) = program.as_known().map(base_name) else {
            self.run(words, false);
            self.folders = None;
            self.is_altered = true;
            return;
        };
        if let [argument] = arguments
            && VERSIONED.contains(&name)
            && matches!(argument.as_known(), Some("--version" | "-V" | "version"))
        {
            return self.run(words, is_clean);
        }
        match name {
            "cd" => self.change_folder(words),
            "eval" => self.evaluate(arguments),
            "trap" => self.trap(words),
            "export" | "local" | "declare" | "typeset" | "readonly" => self.declare(words),
            "set" => self.set(words),
            "read" => self.read_variables(words),
            "test" | "[" => self.run(words, is_clean && test_only_looks(arguments)),
            "printf" => {
                let is_plain = arguments
                    .first()
                    .and_then(Argument::as_known)
                    .is_some_and(|format| !format.starts_with('-') || format == "--");
                self.is_altered |= !is_plain;
                self.run(words, is_clean && is_plain);
            }
            "date" => self.date(words, is_clean),
            "hostname" => self.run(words, is_clean && arguments.is_empty()),
            "env" => self.env(words, is_clean),
            "xargs" => self.xargs(words, is_clean),
            "find" => self.find(words, is_clean),
            "sed" | "gsed" => self.sed(words, is_clean),
            "awk" | "gawk" | "mawk" => self.awk(words, is_clean),
            "git" => self.git(words, is_clean),
            "cargo" => self.cargo(words, is_clean),
            "dd" => self.dd(words),
            "curl" | "wget" => self.download(words, is_clean),
            "ssh" | "scp" | "sftp" | "rsync" => self.remote(words),
            "nc" | "ncat" | "netcat" | "telnet" | "ping" | "dig" | "nslookup" | "host"
            | "traceroute" => {
                self.talk(words);
            }
            "command"
                if matches!(
                    arguments.first().and_then(Argument::as_known),
                    Some("-v" | "-V")
                ) =>
            {
                self.run(words, is_clean);
            }
            "watch" => self.watch(words),
            name if SHELLS.contains(&name) => self.shell(words, is_clean),
            name if NETWORK.contains(&name) => {
                self.anybody();
                self.run(words, false);
                self.toolchain(words);
            }
            name => {
                self.listed(name, words, is_clean);
                self.toolchain(words);
            }
        }
    }

    /// What a package manager needs beyond the workspace.
    fn toolchain(&mut self, words: &[Argument]) {
        let needs = toolchains::needs(words);
        if needs.has_network {
            self.anybody();
        }
        for cache in needs.caches {
            self.claim(Claim::Cache(cache));
        }
    }

    /// A program that is in one of the tables, or unknown.
    fn listed(&mut self, name: &str, words: &[Argument], is_clean: bool) {
        let is_alone = words.len() == 1;
        if let Some(wrapper) = programs::find_wrapper(name) {
            if is_alone && name == "exec" {
                return self.run(words, is_clean);
            }
            return self.wrapper(wrapper, words, is_clean);
        }
        if let Some(looker) = programs::find_looker(name) {
            return self.looker(looker, words, is_clean);
        }
        if let Some(writer) = programs::find_writer(name) {
            return self.writer(writer, words);
        }
        self.is_altered |= ALTERING.contains(&name);
        if matches!(name, "." | "source" | "pushd" | "popd") {
            self.folders = None;
        }
        if let (true, Some(file)) = (matches!(name, "." | "source"), words.get(1)) {
            self.reads(file);
        }
        self.run(words, false);
    }

    fn run(&mut self, words: &[Argument], reads_only: bool) {
        let Some((program, arguments)) = words.split_first() else {
            return;
        };
        let name = program.text.as_str();
        let is_builtin = BUILTINS.contains(&name);
        let spelt = match self.places(program).as_slice() {
            [Place::At(path)] if name.contains('/') => path.clone(),
            _ => name.to_owned(),
        };
        self.claim(Claim::Run {
            program: spelt,
            is_builtin,
            arguments: arguments.iter().map(|word| word.text.clone()).collect(),
            reads_only: reads_only && program.kind == Kind::Known,
        });
    }

    // --- Builtins -------------------------------------------------------------------------------------------------

    fn change_folder(&mut self, words: &[Argument]) {
        self.run(words, true);
        let home = Argument {
            text: "~".to_owned(),
            kind: Kind::Home,
        };
        let target = match &words[1..] {
            [] => Some(home),
            [target] => Some(target.clone()),
            [dashes, target] if dashes.as_known() == Some("--") => Some(target.clone()),
            _ => None,
        };
        let target = target.filter(|target| match target.kind {
            Kind::Known => !target.text.starts_with('-') && !target.text.is_empty(),
            Kind::Home => true,
            Kind::Pattern | Kind::Unknown => false,
        });
        let folders: Option<Vec<String>> = target.and_then(|target| {
            self.places(&target)
                .into_iter()
                .map(|place| match place {
                    Place::At(path) => logical(&path),
                    Place::Below { .. } | Place::Anywhere => None,
                })
                .collect()
        });
        self.folders = folders.filter(|_| !self.moves_later);
    }

    fn evaluate(&mut self, arguments: &[Argument]) {
        let known: Option<Vec<&str>> = arguments.iter().map(Argument::as_known).collect();
        match known {
            Some(texts) => self.script(&texts.join(" ")),
            None => {
                let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
                self.unknown(&texts.join(" "));
            }
        }
    }

    fn trap(&mut self, words: &[Argument]) {
        let handler = words.iter().skip(1).find(|word| word.text != "--");
        match handler.map(Argument::as_known) {
            Some(Some("" | "-")) | None => self.run(words, true),
            Some(Some(script)) => {
                self.folders = None;
                self.script(script);
                self.moves_later = true;
                self.run(words, false);
            }
            Some(None) => self.unknown("trap"),
        }
    }

    /// `export`, `local` and their kin: harmless for names that no program looks at.
    fn declare(&mut self, words: &[Argument]) {
        let is_export = words[0].text == "export";
        let is_harmless = words.iter().skip(1).all(|word| {
            let (name, _) = word.text.split_once('=').unwrap_or((&word.text, ""));
            if is_export {
                COSMETIC_VARIABLES.contains(&name)
            } else {
                is_local_name(name)
            }
        });
        self.is_altered |= !is_harmless;
        self.run(words, is_harmless);
    }

    fn set(&mut self, words: &[Argument]) {
        let is_harmless = words.len() > 1
            && words.iter().skip(1).all(|word| {
                word.as_known().is_some_and(|text| {
                    text == "pipefail"
                        || text.strip_prefix(['-', '+']).is_some_and(|flags| {
                            !flags.is_empty() && flags.chars().all(|c| "euxo".contains(c))
                        })
                })
            });
        self.is_altered |= !is_harmless;
        self.run(words, is_harmless);
    }

    fn read_variables(&mut self, words: &[Argument]) {
        let options = Options {
            flags: "rs",
            valued: "dnNpt",
            long: &[],
        };
        let sorted = sort(&words[1..], options, true);
        let is_harmless = sorted.is_understood
            && sorted
                .operands
                .iter()
                .all(|name| name.as_known().is_some_and(is_local_name));
        self.is_altered |= !is_harmless;
        self.run(words, is_harmless);
    }

    // --- Programs from the tables ---------------------------------------------------------------------------------

    fn looker(&mut self, looker: &programs::Looker, words: &[Argument], is_clean: bool) {
        let sorted = sort(&words[1..], looker.options, false);
        self.run(
            words,
            is_clean
                && (sorted.is_understood || looker.is_harmless)
                && !writes_second(looker, &sorted),
        );
        if looker.reads == Reads::Nothing {
            return;
        }
        if !sorted.is_understood {
            self.claim(Claim::Read(Place::Anywhere));
        }
        let is_grep = looker.reads == Reads::AfterFirst;
        let has_pattern = is_grep && sorted.has(&["e", "f", "--regexp", "--files"]);
        let skipped = usize::from(is_grep && !has_pattern);
        let operands = sorted.operands.get(skipped..).unwrap_or_default();
        let recurses = looker.name == "rg"
            || sorted.has(&["r", "R", "--recursive", "--dereference-recursive"]);
        let here = looker.reads == Reads::OperandsOrHere || (is_grep && recurses);
        if operands.is_empty() && here {
            self.reads_here();
        }
        let follows = is_grep && sorted.has(&["R", "--dereference-recursive"]);
        for operand in operands.iter().filter(|operand| operand.text != "-") {
            if follows {
                self.follows(operand);
            } else {
                self.reads(operand);
            }
        }
        for (name, value) in &sorted.options {
            if let (true, "f", Some(file)) = (is_grep, name.as_str(), value) {
                self.reads(file);
            }
        }
    }

    /// Reads all below a folder, through links.
    fn follows(&mut self, path: &Argument) {
        for place in self.places(path) {
            self.claim(Claim::Read(match place {
                Place::At(folder) => Place::Below {
                    folder,
                    depth_max: None,
                },
                other => other,
            }));
        }
    }

    fn writer(&mut self, writer: &programs::Writer, words: &[Argument]) {
        let sorted = sort(&words[1..], writer.options, false);
        self.run(words, false);
        if !sorted.is_understood {
            self.claim(Claim::Write(Place::Anywhere));
        }
        let operands = sorted.operands.as_slice();
        let (read, written) = match writer.writes {
            Writes::Operands => (&operands[..0], operands),
            Writes::AfterFirst => (&operands[..0], operands.get(1..).unwrap_or_default()),
            Writes::Last => operands.split_at(operands.len().saturating_sub(1)),
        };
        read.iter().for_each(|path| self.reads(path));
        written.iter().for_each(|path| self.writes(path));
    }

    fn wrapper(&mut self, wrapper: &programs::Wrapper, words: &[Argument], is_clean: bool) {
        let sorted = sort(&words[1..], wrapper.options, true);
        let skipped = sorted.operands.get(..wrapper.operands).unwrap_or_default();
        let inner = sorted.operands.get(wrapper.operands..).unwrap_or_default();
        let is_neutral = wrapper.is_neutral
            && sorted.is_understood
            && skipped.iter().all(|word| word.kind == Kind::Known);
        if !is_neutral || inner.is_empty() {
            self.run(words, false);
        }
        self.invoke(inner, is_clean && is_neutral);
    }

    /// Inner arguments in `env`: assignments, then a command.
    fn env(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "i0",
            valued: "u",
            long: &["--ignore-environment", "--null", "--unset="],
        };
        let sorted = sort(&words[1..], options, true);
        let assigned = sorted
            .operands
            .iter()
            .take_while(|word| word.text.contains('='))
            .count();
        let (assignments, inner) = sorted.operands.split_at(assigned);
        let is_cosmetic = assignments.iter().all(|word| {
            let name = word.text.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| COSMETIC_VARIABLES.contains(&name))
        });
        let unsets = sorted.has(&["u", "--unset", "i", "--ignore-environment"]);
        let is_neutral = sorted.is_understood && is_cosmetic && !unsets;
        if inner.is_empty() || !is_neutral {
            self.run(words, is_clean && is_neutral);
        }
        self.invoke(inner, is_clean && is_neutral);
    }

    fn xargs(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "0rtx",
            valued: "nPLIEsd",
            long: &[
                "--null",
                "--no-run-if-empty",
                "--max-args=",
                "--max-procs=",
                "--max-lines=",
                "--delimiter=",
                "--replace?",
            ],
        };
        let sorted = sort(&words[1..], options, true);
        let replaced = sorted
            .options
            .iter()
            .find_map(|(name, value)| match name.as_str() {
                "I" => value.as_ref().map(|value| value.text.clone()),
                "--replace" => Some(
                    value
                        .as_ref()
                        .map_or("{}".to_owned(), |value| value.text.clone()),
                ),
                _ => None,
            });
        let mut inner: Vec<Argument> = sorted
            .operands
            .iter()
            .map(|word| match &replaced {
                Some(mark) if word.text.contains(mark.as_str()) => Argument::unknown(&word.text),
                _ => word.clone(),
            })
            .collect();
        if inner.is_empty() {
            inner.push(Argument::known("echo"));
        }
        if replaced.is_none() {
            inner.push(Argument::unknown("…"));
        }
        let is_understood = sorted.is_understood;
        if !is_understood {
            self.run(words, false);
        }
        self.invoke(&inner, is_clean && is_understood);
    }

    fn watch(&mut self, words: &[Argument]) {
        let options = Options {
            flags: "bcdegtx",
            valued: "n",
            long: &["--interval=", "--differences?"],
        };
        let sorted = sort(&words[1..], options, true);
        self.run(words, false);
        self.apart(|walker| walker.evaluate(&sorted.operands));
    }

    fn shell(&mut self, words: &[Argument], is_clean: bool) {
        let mut rest = words[1..].iter();
        let mut is_plain = true;
        let mut takes_script = false;
        for word in rest.by_ref() {
            let Some(cluster) = word.as_known().and_then(|text| text.strip_prefix('-')) else {
                return self.shell_operand(words, word, takes_script, is_plain && is_clean);
            };
            if cluster == "-" {
                continue;
            }
            takes_script |= cluster.contains('c') && !cluster.starts_with('-');
            is_plain &= !cluster.is_empty() && cluster.chars().all(|c| "ceux".contains(c));
        }
        self.run(words, false);
    }

    fn shell_operand(
        &mut self,
        words: &[Argument],
        operand: &Argument,
        takes_script: bool,
        is_plain: bool,
    ) {
        if !takes_script {
            self.reads(operand);
            return self.run(words, false);
        }
        if !is_plain {
            self.run(words, false);
        }
        match operand.as_known() {
            Some(script) => self.apart(|walker| walker.script(script)),
            None => self.unknown(&operand.text),
        }
    }

    fn date(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "uRI",
            valued: "dr",
            long: &[
                "--date=",
                "--iso-8601?",
                "--rfc-3339=",
                "--utc",
                "--rfc-email",
            ],
        };
        let sorted = sort(&words[1..], options, false);
        let is_format = |word: &Argument| word.as_known().is_some_and(|text| text.starts_with('+'));
        let only_looks = sorted.is_understood && sorted.operands.iter().all(is_format);
        self.run(words, is_clean && only_looks);
        for (name, value) in &sorted.options {
            if let ("r", Some(file)) = (name.as_str(), value) {
                self.reads(file);
            }
        }
    }

    fn find(&mut self, words: &[Argument], is_clean: bool) {
        let arguments = &words[1..];
        let roots_end = arguments
            .iter()
            .position(|word| {
                word.as_known().is_some_and(|text| {
                    matches!(text, "!" | "(")
                        || (text.starts_with('-') && !matches!(text, "-H" | "-L" | "-P"))
                })
            })
            .unwrap_or(arguments.len());
        let (roots, tests) = arguments.split_at(roots_end);
        let mut roots: Vec<Argument> = roots
            .iter()
            .filter(|root| !matches!(root.text.as_str(), "-H" | "-L" | "-P"))
            .cloned()
            .collect();
        if roots.is_empty() {
            roots.push(Argument::known("."));
        }
        let only_looks = self.find_tests(tests, &roots, is_clean)
            && roots.iter().all(|root| !root.may_be_option());
        self.run(words, is_clean && only_looks);
        roots.iter().for_each(|root| self.reads(root));
    }

    /// Claims what the tests run and write; whether the rest of them only looks.
    fn find_tests(&mut self, tests: &[Argument], roots: &[Argument], is_clean: bool) -> bool {
        let mut only_looks = true;
        let mut rest = tests.iter();
        while let Some(test) = rest.next() {
            match test.as_known() {
                Some("-exec" | "-execdir" | "-ok" | "-okdir") => {
                    let inner: Vec<Argument> = rest
                        .by_ref()
                        .take_while(|word| !matches!(word.text.as_str(), ";" | "+"))
                        .cloned()
                        .collect();
                    for root in roots {
                        self.find_command(&inner, root, is_clean && test.text == "-exec");
                    }
                }
                Some("-delete") => {
                    only_looks = false;
                    roots.iter().for_each(|root| self.writes(root));
                }
                Some("-fprint" | "-fprint0" | "-fls" | "-fprintf") => {
                    only_looks = false;
                    if let Some(file) = rest.next() {
                        self.writes(file);
                    }
                }
                Some(text) if FIND_VALUED.contains(&text) => {
                    rest.next();
                }
                Some(text) => only_looks &= FIND_TESTS.contains(&text),
                None => only_looks = false,
            }
        }
        only_looks
    }

    fn find_command(&mut self, inner: &[Argument], root: &Argument, is_clean: bool) {
        let words: Vec<Argument> = inner
            .iter()
            .map(|word| match word.text.as_str() {
                "{}" if root.may_be_option() => Argument::unknown("{}"),
                "{}" => root.clone(),
                text if text.contains("{}") => Argument::unknown(text),
                _ => word.clone(),
            })
            .collect();
        self.apart(|walker| walker.invoke(&words, is_clean));
    }

    fn sed(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "nErszu",
            valued: "el",
            long: &[
                "--quiet",
                "--silent",
                "--regexp-extended",
                "--expression=",
                "--null-data",
                "--separate",
                "--in-place?",
                "--sandbox",
            ],
        };
        let in_place = Options {
            flags: "nErszui",
            ..options
        };
        let sorted = sort(&words[1..], in_place, false);
        let edits = sorted.has(&["i", "--in-place"])
            || words.iter().skip(1).any(|word| word.text.starts_with("-i"));
        let mut scripts: Vec<&Argument> = sorted
            .options
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "e" | "--expression"))
            .filter_map(|(_, value)| value.as_ref())
            .collect();
        let mut files = sorted.operands.as_slice();
        if scripts.is_empty() && !sorted.has(&["f", "--file"]) {
            let (script, rest) = files.split_at(files.len().min(1));
            scripts.extend(script);
            files = rest;
        }
        let is_looking = scripts
            .iter()
            .all(|script| script.as_known().is_some_and(sed_only_looks));
        self.run(
            words,
            is_clean && sorted.is_understood && is_looking && !edits,
        );
        if !sorted.is_understood && !edits {
            self.claim(Claim::Read(Place::Anywhere));
        }
        for file in files {
            self.reads(file);
            if edits {
                self.writes(file);
            }
        }
    }

    fn awk(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "",
            valued: "Fv",
            long: &[],
        };
        let sorted = sort(&words[1..], options, true);
        let (program, files) = sorted.operands.split_at(sorted.operands.len().min(1));
        let is_looking = program
            .iter()
            .all(|program| program.as_known().is_some_and(awk_only_looks));
        let is_understood = sorted.is_understood;
        self.run(words, is_clean && is_understood && is_looking);
        files.iter().for_each(|file| self.reads(file));
    }

    fn dd(&mut self, words: &[Argument]) {
        self.run(words, false);
        for word in &words[1..] {
            match (word.as_known(), word.text.split_once('=')) {
                (Some(_), Some(("if", file))) => self.reads(&Argument::known(file)),
                (Some(_), Some(("of", file))) => self.writes(&Argument::known(file)),
                (None, _) => self.claim(Claim::Write(Place::Anywhere)),
                _ => {}
            }
        }
    }

    // --- Programs with subcommands --------------------------------------------------------------------------------

    fn cargo(&mut self, words: &[Argument], is_clean: bool) {
        // `cargo +nightly build`
        let has_toolchain = words.get(1).is_some_and(|word| word.text.starts_with('+'));
        let first = 1 + usize::from(has_toolchain);
        let Some(subcommand) = words.get(first).and_then(Argument::as_known) else {
            return self.run(words, false);
        };
        let options = Options {
            flags: "vq",
            valued: "eipF",
            long: &[
                "--all-features",
                "--color=",
                "--depth=",
                "--edges=",
                "--features=",
                "--format-version=",
                "--format=",
                "--frozen",
                "--invert=",
                "--locked",
                "--no-default-features",
                "--no-dedupe",
                "--no-deps",
                "--offline",
                "--package=",
                "--prefix=",
                "--quiet",
                "--target=",
                "--verbose",
                "--workspace",
            ],
        };
        let arguments = &words[first + 1..];
        let sorted = sort(arguments, options, false);
        let only_looks = matches!(subcommand, "metadata" | "tree" | "locate-project" | "pkgid")
            && sorted.is_understood
            && sorted.operands.is_empty();
        self.run(words, is_clean && only_looks && !has_toolchain);
        self.reads_here();
        let resolves = !matches!(subcommand, "locate-project" | "pkgid" | "fmt")
            && !sorted.has(&["--no-deps"]);
        if resolves && !sorted.has(&["--offline", "--frozen"]) {
            self.anybody();
            for cache in toolchains::cargo_caches(subcommand) {
                self.claim(Claim::Cache(cache));
            }
        }
        if resolves && !sorted.has(&["--locked", "--frozen"]) {
            self.writes(&Argument::known("Cargo.lock"));
        }
        if toolchains::cargo_builds(subcommand) {
            self.cargo_target(arguments);
        }
    }

    fn cargo_target(&mut self, arguments: &[Argument]) {
        match toolchains::named_target(arguments).or_else(|| self.target.clone()) {
            Some(folder) => self.fills(&folder),
            None => {
                for folder in self.here() {
                    self.claim(Claim::CargoTarget(folder));
                }
            }
        }
    }

    fn git(&mut self, words: &[Argument], is_clean: bool) {
        let mut rest = &words[1..];
        let before = self.folders.clone();
        let mut is_plain = true;
        while let Some((word, after)) = rest.split_first() {
            match word.as_known() {
                Some("--no-pager" | "-P") => rest = after,
                Some("-C") if !after.is_empty() => {
                    self.git_folder(&after[0]);
                    rest = &after[1..];
                }
                Some(text) if text.starts_with('-') => {
                    is_plain = false;
                    let takes_value = matches!(
                        text,
                        "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path"
                    );
                    rest = after.get(usize::from(takes_value)..).unwrap_or_default();
                }
                _ => break,
            }
        }
        self.git_command(words, rest, is_clean && is_plain);
        self.folders = before;
    }

    fn git_folder(&mut self, folder: &Argument) {
        let places: Option<Vec<String>> = self
            .places(folder)
            .into_iter()
            .map(|place| match place {
                Place::At(path) => Some(path),
                Place::Below { .. } | Place::Anywhere => None,
            })
            .collect();
        self.folders = places;
    }

    fn git_command(&mut self, words: &[Argument], rest: &[Argument], is_clean: bool) {
        let Some((Some(subcommand), arguments)) = rest
            .split_first()
            .map(|(word, arguments)| (word.as_known(), arguments))
        else {
            return self.run(words, false);
        };
        let looker = GIT_LOOKERS.iter().find(|looker| looker.name == subcommand);
        let only_looks = looker.is_some_and(|looker| self.git_only_looks(looker, arguments));
        self.run(words, is_clean && only_looks);
        self.reads_here();
        let sets = git_sets(subcommand, arguments);
        let writes = !only_looks && (sets || !matches!(subcommand, "clone" | "config"));
        if writes {
            for folder in self.here() {
                self.claim(Claim::Repository(folder.clone()));
                if sets {
                    self.claim(Claim::GitSettings(folder));
                }
            }
        }
        if let ("clone", Some(folder)) = (subcommand, clone_folder(arguments)) {
            self.fills(folder);
        }
        if !only_looks && GIT_NETWORK.contains(&subcommand) {
            let remotes: Vec<(String, u16)> = arguments
                .iter()
                .filter_map(Argument::as_known)
                .filter_map(remote_host)
                .collect();
            if remotes.is_empty() || arguments.iter().any(|word| word.kind == Kind::Unknown) {
                self.anybody();
            }
            for (host, port) in remotes {
                self.claim(Claim::Network { host, port });
            }
        }
    }

    fn git_only_looks(&mut self, looker: &programs::GitLooker, arguments: &[Argument]) -> bool {
        let options = Options {
            flags: looker.flags,
            valued: looker.valued,
            long: GIT_LONG,
        };
        let sorted = sort(arguments, options, false);
        let first = sorted
            .operands
            .first()
            .map_or("", |word| word.text.as_str());
        let operands_fit = match looker.operands {
            GitOperands::Any => true,
            GitOperands::PatternsOnly => sorted.operands.is_empty() || sorted.has(&["l", "--list"]),
            GitOperands::First(words) => words.contains(&first),
        };
        for operand in sorted.operands.iter().filter(|operand| leads_away(operand)) {
            self.reads(operand);
        }
        sorted.is_understood && operands_fit
    }

    // --- The network ----------------------------------------------------------------------------------------------

    fn anybody(&mut self) {
        self.claim(Claim::Network {
            host: "*".to_owned(),
            port: 443,
        });
    }

    fn download(&mut self, words: &[Argument], is_clean: bool) {
        let options = Options {
            flags: "sSfLIvi46Gk#",
            valued: "mAeow",
            long: &[
                "--compressed",
                "--connect-timeout=",
                "--fail",
                "--head",
                "--include",
                "--location",
                "--max-time=",
                "--output=",
                "--retry=",
                "--show-error",
                "--silent",
                "--verbose",
                "--user-agent=",
                "--write-out=",
            ],
        };
        let is_curl = words[0].text.ends_with("curl");
        let sorted = sort(&words[1..], options, false);
        let output = ["o", "--output"];
        self.run(
            words,
            is_clean && is_curl && sorted.is_understood && !sorted.has(&output),
        );
        for (name, value) in &sorted.options {
            if let (true, Some(file)) = (is_curl && output.contains(&name.as_str()), value) {
                self.writes(file);
            }
        }
        let is_certain = is_curl && sorted.is_understood && !sorted.has(&["L", "--location"]);
        if !is_certain || sorted.operands.is_empty() {
            self.anybody();
        }
        for operand in &sorted.operands {
            self.address(operand);
        }
    }

    fn address(&mut self, word: &Argument) {
        let url = word.as_known().and_then(|text| {
            let spelt = if text.contains("://") {
                text.to_owned()
            } else {
                format!("http://{text}")
            };
            Url::parse(&spelt).ok()
        });
        match url {
            Some(url) if url.scheme() == "file" => self.reads(&Argument::known(url.path())),
            Some(url) => match (url.host_str(), url.port_or_known_default()) {
                (Some(host), port) if !host.contains(['{', '[', '*']) || host.starts_with('[') => {
                    self.claim(Claim::Network {
                        host: host.to_lowercase(),
                        port: port.unwrap_or(443),
                    });
                }
                _ => self.anybody(),
            },
            None => self.anybody(),
        }
    }

    /// `ssh`, `scp`, `rsync`: hosts are operands, as `host`, `user@host` or `host:path`.
    fn remote(&mut self, words: &[Argument]) {
        self.run(words, false);
        let is_ssh = words[0].text.ends_with("ssh") || words[0].text.ends_with("sftp");
        let options = Options {
            flags: "46AaCfGgKkMNnqsTtVvXxYyrp",
            valued: "BbcDEeFIiJLlmOoPpQRSWw",
            long: &[],
        };
        let sorted = sort(&words[1..], options, is_ssh);
        let mut has_host = false;
        for operand in &sorted.operands {
            let host = operand.as_known().and_then(|text| ssh_host(text, is_ssh));
            if let Some(host) = host {
                has_host = true;
                self.claim(Claim::Network { host, port: 22 });
            } else if !is_ssh {
                self.writes(operand);
            }
            if is_ssh {
                break;
            }
        }
        let is_certain = sorted
            .options
            .iter()
            .all(|(name, _)| !"FJoeSp".contains(name.as_str()));
        if !has_host || !is_certain {
            self.anybody();
        }
    }

    /// `nc HOST PORT` and its kin.
    fn talk(&mut self, words: &[Argument]) {
        self.run(words, false);
        let known: Vec<&str> = words[1..]
            .iter()
            .filter_map(Argument::as_known)
            .filter(|text| !text.starts_with('-'))
            .collect();
        match known.as_slice() {
            [host, port] if words.len() == 3 => match port.parse() {
                Ok(port) => self.claim(Claim::Network {
                    host: host.to_lowercase(),
                    port,
                }),
                Err(_not_a_port) => self.anybody(),
            },
            _ => self.anybody(),
        }
    }
}

/// Stands for an unknown folder while a function's body is looked at for moves.
const MARKER: &str = "/\u{0}";

/// What a word becomes, nothing claimed for it.
fn single_of(word: &str) -> Argument {
    match scan(word).map(|scanned| scanned.arguments) {
        Ok(mut arguments) if arguments.len() == 1 => arguments.remove(0),
        _ => Argument::unknown(word),
    }
}

fn writes_second(looker: &programs::Looker, sorted: &Sorted) -> bool {
    looker.reads == Reads::OnlyOne && sorted.operands.len() > 1
}

fn evaluates(predicate: &ast::BinaryPredicate) -> bool {
    matches!(
        predicate,
        ast::BinaryPredicate::ArithmeticEqualTo
            | ast::BinaryPredicate::ArithmeticNotEqualTo
            | ast::BinaryPredicate::ArithmeticLessThan
            | ast::BinaryPredicate::ArithmeticLessThanOrEqualTo
            | ast::BinaryPredicate::ArithmeticGreaterThan
            | ast::BinaryPredicate::ArithmeticGreaterThanOrEqualTo
    )
}

/// `test` evaluates only with `-v` and `-R`; with an operator that is known, nothing else can become one.
fn test_only_looks(arguments: &[Argument]) -> bool {
    let known: Vec<&str> = arguments.iter().filter_map(Argument::as_known).collect();
    let evaluates = known.iter().any(|text| matches!(*text, "-v" | "-R"));
    let has_operator = known.iter().any(|text| {
        matches!(
            *text,
            "-n" | "-z"
                | "-f"
                | "-e"
                | "-d"
                | "-s"
                | "-r"
                | "-w"
                | "-x"
                | "-L"
                | "-h"
                | "="
                | "=="
                | "!="
                | "-eq"
                | "-ne"
                | "-lt"
                | "-le"
                | "-gt"
                | "-ge"
                | "-nt"
                | "-ot"
        )
    });
    let is_known = known.len() == arguments.len();
    !evaluates && (is_known || has_operator)
}

fn name_of(name: &ast::AssignmentName) -> &str {
    match name {
        ast::AssignmentName::VariableName(name)
        | ast::AssignmentName::ArrayElementName(name, _) => name,
    }
}

/// Whether a variable's name is one that no program looks for in its environment.
fn is_local_name(name: &str) -> bool {
    let is_name = name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let has_lower = name.chars().any(|c| c.is_ascii_lowercase());
    is_name && has_lower && !name.contains("proxy")
}

fn is_standard_stream(path: &str) -> bool {
    matches!(
        path,
        "/dev/null"
            | "/dev/stdin"
            | "/dev/stdout"
            | "/dev/stderr"
            | "/dev/zero"
            | "/dev/urandom"
            | "/dev/random"
    ) || path
        .strip_prefix("/dev/fd/")
        .is_some_and(|fd| fd.bytes().all(|b| b.is_ascii_digit()))
}

/// `/dev/tcp/HOST/PORT`, which bash opens itself.
fn socket(path: &str) -> Option<(String, u16)> {
    let rest = path
        .strip_prefix("/dev/tcp/")
        .or_else(|| path.strip_prefix("/dev/udp/"))?;
    let (host, port) = rest.split_once('/')?;
    Some((host.to_lowercase(), port.parse().unwrap_or(0)))
}

/// A program's name, when it is called by name or from where the system keeps programs.
fn base_name(program: &str) -> &str {
    const SYSTEM: &[&str] = &["/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"];
    match program.rsplit_once('/') {
        Some((folder, name)) if SYSTEM.contains(&folder) => name,
        _ => program,
    }
}

fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, ".") => folder.to_owned(),
        (folder, path) => format!("{}/{path}", folder.trim_end_matches('/')),
    }
}

/// The path as `cd` understands it: `..` takes a name away, whatever links there are. `None` above the start.
fn logical(path: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                let last = names.pop();
                if last.is_none_or(|last| last == "~") {
                    return None;
                }
            }
            name => names.push(name),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", names.join("/")))
}

/// The folder before the first component with a pattern, and how many components follow.
fn below(pattern: &str) -> Place {
    let first = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let (folder, rest) = match pattern[..first].rfind('/') {
        Some(slash) => (&pattern[..slash], &pattern[slash + 1..]),
        None => ("", pattern),
    };
    let folder = match (folder, pattern.starts_with('/')) {
        ("", true) => "/",
        ("", false) => ".",
        (folder, _) => folder,
    };
    Place::Below {
        folder: folder.to_owned(),
        depth_max: Some(rest.split('/').count()),
    }
}

/// Whether an operand of `git` may lie outside of the repository.
fn leads_away(operand: &Argument) -> bool {
    match operand.kind {
        Kind::Unknown | Kind::Home => true,
        Kind::Known | Kind::Pattern => {
            operand.text.starts_with('/') || operand.text.split('/').any(|name| name == "..")
        }
    }
}

/// The host in a remote's address: `https://host/…`, `git@host:path`.
fn remote_host(text: &str) -> Option<(String, u16)> {
    if text.contains("://") {
        let url = Url::parse(text).ok()?;
        let port = match url.scheme() {
            "ssh" => 22,
            "git" => 9418,
            _ => 443,
        };
        let host = url.host_str()?.to_lowercase();
        return Some((host, url.port_or_known_default().unwrap_or(port)));
    }
    let (host, _path) = text.split_once(':')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let is_host = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    is_host.then(|| (host.to_lowercase(), 22))
}

/// Whether a `git` command changes the repository's settings: remotes, or which branch follows which.
fn git_sets(subcommand: &str, arguments: &[Argument]) -> bool {
    let has = |options: &[&str]| {
        arguments
            .iter()
            .any(|word| options.contains(&word.text.as_str()))
    };
    match subcommand {
        "config" => !has(&[
            "--get",
            "--get-all",
            "--get-regexp",
            "--list",
            "-l",
            "get",
            "list",
        ]),
        "remote" | "submodule" | "branch" | "worktree" => true,
        // A branch that a remote has is followed from its first switch on.
        "checkout" | "switch" => !has(&["--", "--detach", "--no-track"]),
        "push" | "fetch" | "pull" => has(&["-u", "--set-upstream"]),
        _ => false,
    }
}

/// The folder that `git clone` is told to make.
fn clone_folder(arguments: &[Argument]) -> Option<&Argument> {
    let source = arguments.iter().position(|word| {
        let text = word.text.as_str();
        !text.starts_with('-') && (text.contains('/') || remote_host(text).is_some())
    })?;
    let mut after = arguments[source + 1..].iter();
    after.find(|word| !word.text.starts_with('-'))
}

fn ssh_host(text: &str, is_ssh: bool) -> Option<String> {
    let address = if is_ssh {
        text.strip_prefix("ssh://").unwrap_or(text)
    } else {
        text.split_once(':')?.0
    };
    let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
    let host = host.split(':').next()?;
    let is_host = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    is_host.then(|| host.to_lowercase())
}
