//! The documentation, made from the table of causes.

use crate::causes::CAUSES;
use crate::finding::Finding;
use std::fmt::Write;

const HEAD: &str = "# Why does my Service not answer?

<!-- Made from the table of causes: change crates/explain/src/causes, then UPDATE_DOCS=1 cargo test --workspace --test causes -->

`sealane explain svc/NAME` says what stands between a Service and its clients; `sealane check` says all that is wrong in a
namespace, `sealane check -A` in a cluster. Both only read, on any Kubernetes. These are the causes that they know: what each says,
how to make it happen (on a cluster of `sealane up`, in a namespace of its own), and how to mend it.
";

/// The page that documents every cause, with an example of each: the finding of its first case.
pub fn page(example: impl Fn(&str) -> Finding) -> String {
    let mut page = format!("{HEAD}\n| cause | says |\n|---|---|\n");
    for cause in CAUSES {
        let _ = writeln!(page, "| [{0}](#{0}) | {1} |", cause.name, cause.title);
    }
    for cause in CAUSES {
        let found = example(cause.name);
        let _ = write!(
            page,
            "\n## {}\n\n**{}.** {}\n\n```\n{}\n",
            cause.name, cause.title, cause.about, found.message
        );
        let _ = writeln!(page, "  type: {}\n```\n", found.fix);
        let _ =
            writeln!(page, "To make it happen:\n\n```sh\n{}\n```\n\nTo mend it: {}", cause.make, cause.mend);
    }
    page
}
