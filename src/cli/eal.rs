//! EAL options: those of the command line, those of the profile, and which of them win.

use super::cores;

/// Options of EAL that take a value as their own argument.
const WITH_VALUE: &[&str] = &[
    "-a",
    "--allow",
    "-b",
    "--block",
    "-c",
    "-d",
    "-l",
    "-m",
    "-n",
    "-r",
    "-s",
    "-S",
    "--base-virtaddr",
    "--file-prefix",
    "--huge-dir",
    "--iova-mode",
    "--lcores",
    "--log-level",
    "--main-lcore",
    "--mbuf-pool-ops-name",
    "--numa-mem",
    "--proc-type",
    "--socket-limit",
    "--socket-mem",
    "--syslog",
    "--vdev",
    "--vfio-intr",
    "--vfio-vf-token",
    "--force-max-simd-bitwidth",
];

/// Options of which one takes the place of another.
const GROUPS: &[&[&str]] = &[
    &["-l", "-c", "-s", "-S", "--lcores"],
    &["-a", "--allow", "-b", "--block", "--no-pci"],
    &["-m", "--socket-mem", "--numa-mem"],
    HUGEPAGES,
];

/// Options that decide what memory is made of.
const HUGEPAGES: &[&str] =
    &["--no-huge", "--in-memory", "--huge-dir", "--huge-unlink", "--no-shconf"];

/// Parts arguments into EAL options and the rest. EAL options come first, begin with a dash, and end
/// with `--`.
pub fn split(mut arguments: Vec<String>) -> (Vec<String>, Vec<String>) {
    let first_is_option = arguments.first().is_some_and(|first| first.starts_with('-'));
    match arguments.iter().position(|argument| argument == "--") {
        Some(end) if first_is_option => {
            let rest = arguments.split_off(end + 1);
            arguments.pop();
            (arguments, rest)
        }
        _ => (Vec::new(), arguments),
    }
}

/// Are these options that can be told apart? Everything else EAL says itself.
///
/// # Errors
/// The last of them wants a value and has none.
pub fn check(arguments: &[String]) -> Result<(), String> {
    match options(arguments).last() {
        Some(EalOption { name, words }) if words[..] == [name.as_str()] && takes_value(name) => {
            Err(format!("{name}: a value is expected after it, before `--`"))
        }
        _ => Ok(()),
    }
}

/// One option with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EalOption {
    name: String,
    words: Vec<String>,
}

/// `ours`, without what `given` says otherwise, and then `given`.
pub fn merge(ours: &[String], given: &[String]) -> Vec<String> {
    let given_options = options(given);
    let overridden = |name: &str| {
        given_options.iter().any(|other| other.name == name || same_group(name, &other.name))
    };
    let kept = options(ours).into_iter().filter(|option| !overridden(&option.name));
    kept.flat_map(|option| option.words).chain(given.iter().cloned()).collect()
}

/// Is one of the options with these names among the arguments?
pub fn has(arguments: &[String], names: &[&str]) -> bool {
    options(arguments).iter().any(|option| names.contains(&option.name.as_str()))
}

/// Do the arguments decide what memory is made of?
pub fn decides_memory(arguments: &[String]) -> bool {
    has(arguments, HUGEPAGES)
}

/// Do the arguments decide which cores to use?
pub fn decides_cores(arguments: &[String]) -> bool {
    has(arguments, GROUPS[0])
}

/// The processors that the last option about cores names, and that option; `None` if there is none, or
/// none that is understood here: EAL says what is wrong with it.
pub fn processors(arguments: &[String]) -> Option<(String, Vec<u32>)> {
    let options = options(arguments);
    let EalOption { name, words } =
        options.iter().rfind(|option| GROUPS[0].contains(&option.name.as_str()))?;
    let joined = words[0][name.len()..].trim_start_matches('=');
    let value = words.get(1).map_or(joined, String::as_str);
    let processors = match name.as_str() {
        "-l" => cores::parse(value)?,
        "-c" => {
            let digits = value.strip_prefix("0x").unwrap_or(value);
            let mask = u128::from_str_radix(digits, 16).ok()?;
            (0..128).filter(|bit| mask & 1 << bit != 0).collect()
        }
        "--lcores" => {
            groups(value).into_iter().map(processors_of).collect::<Option<Vec<_>>>()?.concat()
        }
        _ => return None,
    };
    Some((name.clone(), processors))
}

/// The parts of a list between commas that are not in parentheses.
fn groups(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    list.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .collect()
}

/// The processors of a group such as `0-3`, `1@5` or `(0-1)@(4,6)`.
fn processors_of(group: &str) -> Option<Vec<u32>> {
    let set = group.split_once('@').map_or(group, |(_, processors)| processors);
    cores::parse(set.trim_start_matches('(').trim_end_matches(')'))
}

fn same_group(one: &str, other: &str) -> bool {
    GROUPS.iter().any(|group| group.contains(&one) && group.contains(&other))
}

fn options(arguments: &[String]) -> Vec<EalOption> {
    let mut options: Vec<EalOption> = Vec::new();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let name = name_of(word);
        let mut option = EalOption { name: name.to_owned(), words: vec![word.clone()] };
        if name == word && takes_value(name) {
            option.words.extend(words.next().cloned());
        }
        options.push(option);
    }
    options
}

/// Is the value of this option, unless it is joined to it, the next argument?
fn takes_value(name: &str) -> bool {
    WITH_VALUE.contains(&name)
}

/// `--lcores` of `--lcores=0-1`, `-l` of `-l0-1`.
fn name_of(word: &str) -> &str {
    if word.starts_with("--") {
        word.split('=').next().unwrap_or(word)
    } else {
        word.char_indices().nth(2).map_or(word, |(end, _)| &word[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn eal_options_end_with_a_double_dash() {
        for (line, eal, rest) in [
            ("loopback --cores 1", "", "loopback --cores 1"),
            ("-l 0 -- loopback", "-l 0", "loopback"),
            (
                "--no-huge --vdev=net_tap0 -- server --app http",
                "--no-huge --vdev=net_tap0",
                "server --app http",
            ),
            ("-- loopback", "", "loopback"),
            ("--help", "", "--help"),
            ("loopback -- x", "", "loopback -- x"),
        ] {
            assert_eq!(split(words(line)), (words(eal), words(rest)), "{line}");
        }
    }

    #[test]
    fn an_option_without_its_value_is_told() {
        for line in ["-l", "--no-huge --vdev", "-l 0 --file-prefix"] {
            let last = line.split(' ').next_back().unwrap();
            let told = format!("{last}: a value is expected after it, before `--`");
            assert_eq!(check(&words(line)), Err(told));
        }
        for line in ["", "-l 0", "-l0", "--vdev=net_null0", "--no-huge", "--file-prefix -l"] {
            assert_eq!(check(&words(line)), Ok(()), "{line}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_profile() {
        for (ours, given, merged) in [
            ("--no-pci -m 128", "", "--no-pci -m 128"),
            ("--no-pci -m 128", "-m 64", "--no-pci -m 64"),
            ("--no-pci -m 128", "-m64", "--no-pci -m64"),
            ("--no-pci -m 128", "-a 00:05.0", "-m 128 -a 00:05.0"),
            ("--lcores=0@0 --in-memory", "-l 1", "--in-memory -l 1"),
            ("--lcores 0@0 --in-memory", "--no-huge", "--lcores 0@0 --no-huge"),
            ("--vdev=net_tap0 --vdev net_tap1", "--vdev=net_null0", "--vdev=net_null0"),
        ] {
            assert_eq!(merge(&words(ours), &words(given)), words(merged), "{ours} | {given}");
        }
    }

    #[test]
    fn a_value_is_no_option() {
        assert!(!decides_memory(&words("--file-prefix --no-huge")));
        assert!(decides_memory(&words("--file-prefix x --no-huge")));
        assert!(decides_cores(&words("-l0-1")) && decides_cores(&words("--lcores=0@0")));
    }
}
