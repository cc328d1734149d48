//! The nftables text parser and the netlink reader: any bytes give a table or an error, and a table reads back from its text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealane_nft::wire::{Reader, messages};
use sealane_nft::{Family, audit, parse, print};

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(Family::Ip, "t");
    messages(data).for_each(|message| reader.message(&message));
    let _ = reader.finish();
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(table) = parse(text)
    {
        let printed = print(&table);
        let again =
            parse(&printed).unwrap_or_else(|e| panic!("does not read what it printed: {e}\n{printed}"));
        assert_eq!(again, table, "printed as\n{printed}");
        let _ = audit(&table);
    }
});
