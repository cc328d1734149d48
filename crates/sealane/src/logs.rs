//! `sealane logs`: what the processes of a cluster wrote.

use crate::cli::{CommandError, LogsArgs};
use crate::cluster::Cluster;
use crate::terminal::line;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::time::Duration;

/// Prints the last lines of the logs, and with `--follow` what is added.
pub(crate) fn logs(arguments: &LogsArgs) -> Result<(), CommandError> {
    let cluster = Cluster::find(&arguments.name.name)?;
    let paths = cluster.paths();
    let all = crate::up::processes(&cluster);
    let components = match &arguments.component {
        Some(one) if all.contains(one) => vec![one.clone()],
        Some(other) => {
            return Err(format!("there is no component {other}; there are {}", all.join(", ")).into());
        }
        None => all,
    };
    let mut readers = Vec::new();
    for component in components {
        let Ok(file) = std::fs::File::open(paths.log(&component)) else { continue };
        let mut reader = BufReader::new(file);
        let lines: Vec<String> = reader.by_ref().lines().map_while(Result::ok).collect();
        for text in &lines[lines.len().saturating_sub(arguments.tail)..] {
            line(&format!("{component}  {text}"));
        }
        readers.push((component, reader));
    }
    if !arguments.follow {
        return Ok(());
    }
    loop {
        for (component, reader) in &mut readers {
            follow(component, reader)?;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Prints the whole lines that were added; a part of one waits for its end.
fn follow(component: &str, reader: &mut BufReader<std::fs::File>) -> std::io::Result<()> {
    loop {
        let mut text = String::new();
        let length = reader.read_line(&mut text)?;
        if length == 0 {
            return Ok(());
        }
        if !text.ends_with('\n') {
            let back = i64::try_from(length).expect("a line fits");
            reader.seek(SeekFrom::Current(-back))?;
            return Ok(());
        }
        line(&format!("{component}  {}", text.trim_end()));
    }
}
