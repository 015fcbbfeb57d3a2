//! Files that are read, and those that are refused.

use super::*;

/// Reads one CSV file and gives each model's id and context.
fn check(csv: &str, expected: &[(&str, Option<u64>)]) {
    let catalog = read(csv).unwrap();
    let found: Vec<_> = catalog.facts().iter().map(|facts| (facts.id, facts.context)).collect();
    assert_eq!(found, expected, "{csv:?}");
    assert_eq!((catalog.len(), catalog.is_empty()), (expected.len(), false));
}

#[test]
fn plain_and_odd_files_are_read() {
    for csv in [
        "id,context\na/b,8\nc,\n",
        "\u{feff}id,context\r\na/b,8\r\nc,\r\n",
        " id , context \n  a/b , 8 \n\nc,  ",
        "context,id\n8,a/b\n,c\n",
        ",id,x,context\n0,a/b,\"1,\"\"2\n3\",8\n1,c,,\n",
        "id,context,precision\na/b,8.0,float16\nc,,\n",
    ] {
        check(csv, &[("a/b", Some(8)), ("c", None)]);
    }
}

#[test]
fn broken_files_are_named() {
    let header = "begin the file with a line of column names, `id` among them";
    let quote = "put a cell that holds a comma, a quote or a line break into double quotes";
    let cell = "correct the cell, or leave it empty where the value is unknown";
    for (csv, message, help) in [
        ("", "`a.csv` is empty", header),
        ("\u{feff} \r\n", "`a.csv` is empty", header),
        ("id,context\n", "the catalog holds no model", "add a row below the column names"),
        (
            "model,context\na,8\n",
            "`a.csv` has no column `id`",
            "name the column of model ids `id`; the file has `model`, `context`",
        ),
        ("ID,context\na,8\n", "`a.csv` has no column `id`", "write `ID` in lower case"),
        ("id;context\na;8\n", "`a.csv` has no column `id`", "separate the cells by commas"),
        ("a/b\nc/d\n", "`a.csv` has no column `id`", header),
        ("id,x,x\na,1,2\n", "`a.csv` has the column `x` twice", "rename or remove one of them"),
        ("id,x\na,1\n ,2\n", "`a.csv` line 3: the row has no `id`", "write the model's id as `organisation/name`"),
        ("id,x\na,1,2\n", "`a.csv` line 2: 3 cells where the header has 2", quote),
        ("id,x\na,1\nb\n", "`a.csv` line 3: 1 cells where the header has 2", quote),
    ] {
        check_error(csv.as_bytes(), message, Some(help));
    }
    // An open quote swallows the lines below it, and the row comes out short.
    check_error(b"id,x,y\na,\"1,2\nb,3,4\n", "`a.csv` line 2: 2 cells where the header has 3", Some(quote));
    for (column, value, expected) in [
        ("params_b", "7B", "a number from 0"),
        ("ifeval", "nan", "a number"),
        ("context", "8k", "a whole number from 0"),
        ("official", "maybe", "`yes` or `no`"),
        ("license_commercial", "apache", "`yes`, `no` or `unknown`"),
        ("weights_sha256", "abc", "64 hexadecimal digits"),
    ] {
        let csv = format!("id,note,{column}\na,\"x\ny\",\nb,,{value}\n");
        let message = format!("`a.csv` line 4: column `{column}` holds `{value}`, not {expected}");
        check_error(csv.as_bytes(), &message, Some(cell));
    }
    check_error(b"id,x\na,1\nb,\xff\n", "`a.csv` line 3: not valid UTF-8", Some("save the file as UTF-8"));
    check_error(b"id,\xff\na,1\n", "`a.csv` line 1: not valid UTF-8", Some("save the file as UTF-8"));
    assert!(matches!(Catalog::read([]), Err(CatalogError::NoModels)));
}

#[test]
fn of_two_rows_the_primary_one_counts() {
    let header = "id,precision,primary,context\n";
    for body in [
        "a,float16,yes,8\na,4bit,,4\n",
        "a,float16,no,4\na,float16,yes,8\n",
        "a,x,,4\na,y,,2\na,z,yes,8\n",
        "a,x,,4\na,z,yes,8\na,y,,2\n",
    ] {
        check(&format!("{header}{body}"), &[("a", Some(8))]);
    }
    let help = "keep one of the rows, or mark the one to use with `yes` in a column `primary`";
    for (body, first, second) in
        [("a,x,,4\nb,,,\na,y,,8\n", 2, 4), ("a,x,yes,4\na,y,yes,8\n", 2, 3), ("b,,,\nb,,,\na,x,,4\na,y,,8\n", 2, 3)]
    {
        let id = &body[..1];
        let message = format!("`a.csv` has `{id}` on line {first} and again on line {second}");
        check_error(format!("{header}{body}").as_bytes(), &message, Some(help));
    }
}

#[test]
fn later_files_add_and_override() {
    let files = [
        ("one.csv", "id,context,license,ifeval\na,8,mit,1\nb,4,,2\n"),
        ("two.csv", "id,license,weights,context\nc,gpl-3.0,,\nb,apache-2.0,file:b.gguf,\na,,file:a.gguf,16\n"),
        ("three.csv", "id,context\na,\n"),
    ];
    let catalog = Catalog::read(files.map(|(name, text)| (name, text.as_bytes()))).unwrap();
    let found: Vec<_> =
        catalog.facts().iter().map(|facts| (facts.id, facts.context, facts.license, facts.weights)).collect();
    assert_eq!(
        found,
        [
            ("a", Some(16), Some("mit"), Some("file:a.gguf")),
            ("b", Some(4), Some("apache-2.0"), Some("file:b.gguf")),
            ("c", None, Some("gpl-3.0"), None),
        ]
    );
    let columns: Vec<_> = catalog.columns().collect();
    assert_eq!(columns, ["id", "context", "license", "ifeval", "weights"]);
    // A bad cell is told with the file it stands in.
    let error = Catalog::read([("one.csv", &b"id\na\n"[..]), ("two.csv", &b"id,context\na,x\n"[..])]).unwrap_err();
    assert_eq!(error.to_string(), "`two.csv` line 2: column `context` holds `x`, not a whole number from 0");
}

#[test]
fn a_hundred_thousand_rows_are_read() {
    let mut csv = "id,params_b,ifeval\n".to_owned();
    for row in 0..100_000 {
        writeln!(csv, "org/{row},7,{}", row % 977).unwrap();
    }
    let catalog = read(&csv).unwrap();
    assert_eq!(catalog.len(), 100_000);
    let candidates = research(&catalog, &Require::default(), &profile(&[("ifeval", 1.0)], &[]), 2).unwrap();
    assert_eq!(candidates.considered, 100_000);
    // A hundred models share the best score; the lowest id wins.
    assert_eq!(candidates.shortlist[0].id, "org/10746");
}
