//! What can happen to a store: full and read-only disks, damage, lost files, crowds. Each time the program says what is
//! wrong and the way on, and pays for no finished call twice.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::env::{Output, PIPELINE, Project};

const CALLS: u64 = 15;
const RUN: [&str; 2] = ["run", "pipelines/p.yaml"];

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn output_of(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

/// A project whose replies take room, one call after the other.
fn large() -> Project {
    let project = Project::scripted();
    let text = PIPELINE
        .replace("    scripted:\n", "    scripted:\n      concurrency: 1\n")
        .replace("That sounds hard. What", &format!("That sounds hard. {} What", "x".repeat(20_000)));
    project.write("pipelines/p.yaml", &text);
    project
}

/// Runs a script with `"$@"` as the program, in a file system of its own where it may mount things.
#[cfg(target_os = "linux")]
fn in_namespace(project: &Project, script: &str) -> Command {
    let program = project.command(&RUN);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(program.get_program());
    command.args(program.get_args()).current_dir(project.path("")).env_clear().stdin(Stdio::null());
    let path = ("PATH".as_ref(), Some("/usr/sbin:/usr/bin:/sbin:/bin".as_ref()));
    for (name, value) in program.get_envs().chain([path]) {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// Whether this machine lets a test mount something: many containers do not.
#[cfg(target_os = "linux")]
fn may_mount() -> bool {
    let project = Project::empty();
    let mut command = in_namespace(&project, "mount -t tmpfs none pipelines");
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_nothing_finished_is_asked_twice() {
    if !may_mount() {
        // The test of a limited file size shows the same another way, on every machine.
        return a_limit_on_files_is_told_and_nothing_finished_is_asked_twice();
    }
    let project = large();
    fs_err::create_dir(project.path("cache")).unwrap();
    // The disk is filled but for some room, then freed; what was kept in between is looked at from outside.
    let script = r#"
        mount -t tmpfs -o size=4m none cache || exit 99
        "$1" plan pipelines/p.yaml > /dev/null || exit 98
        cat /dev/zero > cache/ballast 2> /dev/null
        truncate -s -200K cache/ballast
        "$@" > first.out 2> first.err; echo $? > first.code
        cp -r cache kept
        rm cache/ballast kept/ballast
        exec "$@" --json
    "#;
    let second = output_of(in_namespace(&project, script)).exits(4);
    let told = project.read("first.err");
    assert_eq!(project.read("first.code"), "1\n", "{told}");
    assert!(told.contains("no space is left for the store in"), "{told}");
    assert!(told.contains("free some space and run again: what is finished is kept"), "{told}");
    fs_err::remove_dir(project.path("cache")).unwrap();
    fs_err::rename(project.path("kept"), project.path("cache")).unwrap();
    let kept = project.calls_kept();
    assert!(0 < kept && kept < CALLS, "{kept} calls were kept\n{told}");
    let run: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(made(&run), CALLS - kept);
}

#[cfg(unix)]
#[test]
fn a_limit_on_files_is_told_and_nothing_finished_is_asked_twice() {
    let project = large();
    project.run(&["plan", "pipelines/p.yaml"]).exits(0);
    let program = project.command(&RUN);
    let mut limited = Command::new("sh");
    // In blocks of 512 bytes; without the signal that would end the program at once, as nobody sends one at a full disk.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 240; exec \"$@\"", "sh"]).arg(program.get_program());
    limited.args(program.get_args()).current_dir(project.path("")).env_clear().stdin(Stdio::null());
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let first = output_of(limited).exits(1);
    assert!(first.stderr.contains("run again: what is finished is kept"), "{first}");
    let kept = project.calls_kept();
    assert!(0 < kept && kept < CALLS, "{kept} calls were kept\n{first}");
    assert_eq!(made(&project.json()), CALLS - kept);
}

#[test]
fn a_store_that_cannot_be_written_is_told() {
    let check = |output: Output| {
        let output = output.exits(1);
        assert!(output.stderr.contains("cannot be written"), "{output}");
        assert!(
            output.stderr.contains("make the directory writable, or name another one with `--cache DIR`"),
            "{output}"
        );
    };
    // A file lies where the store should be.
    let project = Project::scripted();
    project.write("cache", "mine");
    check(project.run(&RUN));
    assert_eq!(project.read("cache"), "mine");
    project.run(&["run", "pipelines/p.yaml", "--cache", "elsewhere"]).exits(4);

    #[cfg(target_os = "linux")]
    if may_mount() {
        for is_filled in [false, true] {
            let project = Project::scripted();
            fs_err::create_dir(project.path("cache")).unwrap();
            if is_filled {
                project.json();
                project.edit("scenarios/p.yaml", "awake again", "awake again, why");
            }
            let script = "mount --bind cache cache && mount -o remount,ro,bind cache && exec \"$@\"";
            check(output_of(in_namespace(&project, script)));
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let project = Project::scripted();
        let cache = project.path("cache");
        fs_err::create_dir(&cache).unwrap();
        fs_err::set_permissions(&cache, PermissionsExt::from_mode(0o555)).unwrap();
        // Permissions bind everybody but root.
        if fs_err::write(cache.join("probe"), "").is_err() {
            check(project.run(&RUN));
        }
        fs_err::set_permissions(&cache, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[test]
fn damage_to_any_result_is_noticed_and_mended_without_a_call() {
    for stage in 0..4 {
        for damage in [&b""[..], b"not what it was", b"{\"half\":"] {
            let project = Project::scripted();
            let first = project.json();
            let id = first["run"]["stages"][stage]["output"].as_str().unwrap();
            let object = project.path(&format!("cache/objects/{}/{id}", &id[..2]));
            fs_err::write(&object, damage).unwrap();
            let plan = project.run(&["plan", "pipelines/p.yaml"]).exits(0);
            assert!(plan.stdout.contains("its result is gone from the store"), "{plan}");
            let again = project.json();
            assert_eq!((made(&again), &again["report"]), (0, &first["report"]), "stage {stage}");
            assert_eq!(fs_err::read(project.path(&format!("cache/aside/{id}"))).unwrap(), damage);
            assert_eq!(made(&project.json()), 0);
        }
    }
}

/// The smallest file of weights that has a header and a tensor.
fn weights() -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    let text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    };
    file.extend(3_u32.to_le_bytes());
    file.extend([1_u64, 1].map(u64::to_le_bytes).concat());
    text(&mut file, "general.architecture");
    file.extend(8_u32.to_le_bytes());
    text(&mut file, "llama");
    text(&mut file, "blk.0.weight");
    file.extend(1_u32.to_le_bytes());
    file.extend(8_u64.to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(32) + 32, 0);
    file
}

#[test]
fn damaged_weights_are_brought_again() {
    let project = Project::scripted();
    fs_err::write(project.path("weights.gguf"), weights()).unwrap();
    project.edit("pipelines/p.yaml", "stages:\n", "stages:\n  weights:\n    pull: { from: \"file:weights.gguf\" }\n");
    let first = project.json();
    let stages = first["run"]["stages"].as_array().unwrap();
    let record = stages.iter().find(|stage| stage["stage"] == "weights").unwrap()["output"].as_str().unwrap();
    let object = |id: &str| project.path(&format!("cache/objects/{}/{id}", &id[..2]));
    let record: Value = serde_json::from_slice(&fs_err::read(object(record)).unwrap()).unwrap();
    let id = record["weights"].as_str().unwrap();
    assert_eq!(fs_err::read(object(id)).unwrap(), weights());
    // Where the object and the file share their bytes on disk, only the object is to be damaged.
    fs_err::remove_file(object(id)).unwrap();
    fs_err::write(object(id), "GGUF, but not this one").unwrap();
    let again = project.json();
    assert_eq!((made(&again), &again["report"]), (0, &first["report"]));
    assert_eq!(fs_err::read(object(id)).unwrap(), weights());
    assert!(project.path(&format!("cache/aside/{id}")).exists());
}

#[test]
fn an_index_that_cannot_be_used_is_told_with_a_way_on() {
    let check = |damage: &dyn Fn(&Project), expected: &str, way_on: &str| {
        let project = Project::scripted();
        project.json();
        assert!(!project.path("cache/index.sqlite-wal").exists(), "a run tidies up after itself");
        damage(&project);
        let output = project.run(&RUN).exits(1);
        assert!(output.stderr.contains(expected) && output.stderr.contains(way_on), "{output}");
        if way_on == "away and run again" {
            // Taking the way on works.
            fs_err::remove_file(project.path("cache/index.sqlite")).unwrap();
            assert_eq!(made(&project.json()), CALLS);
        }
    };
    let index = |project: &Project| project.path("cache/index.sqlite");
    let cut = |project: &Project| {
        let bytes = fs_err::read(index(project)).unwrap();
        fs_err::write(index(project), &bytes[..bytes.len() / 2]).unwrap();
    };
    check(&cut, "is damaged", "away and run again");
    check(&|project| fs_err::write(index(project), "text ".repeat(100)).unwrap(), "is damaged", "away and run again");
    let foreign = |project: &Project| {
        fs_err::remove_file(index(project)).unwrap();
        rusqlite::Connection::open(index(project)).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    };
    check(&foreign, "is a database of another program", "--cache DIR");
    let newer = |project: &Project| {
        rusqlite::Connection::open(index(project)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    };
    check(&newer, "has format 99", "at least as new");
}

#[test]
fn a_lost_half_of_the_store_is_made_again() {
    let check = |lose: &dyn Fn(&Project), calls: u64| {
        let project = Project::scripted();
        let first = project.json();
        lose(&project);
        let again = project.json();
        assert_eq!((made(&again), &again["report"]), (calls, &first["report"]));
        assert_eq!(made(&project.json()), 0);
    };
    check(&|project| fs_err::remove_dir_all(project.path("cache/objects")).unwrap(), 0);
    check(&|project| fs_err::remove_file(project.path("cache/index.sqlite")).unwrap(), CALLS);
    // The log of a process that was killed, without the index it belongs to.
    let orphan = |project: &Project| {
        fs_err::rename(project.path("cache/index.sqlite"), project.path("cache/index.sqlite-wal")).unwrap();
    };
    check(&orphan, CALLS);
    // An empty file is a new index.
    check(&|project| fs_err::write(project.path("cache/index.sqlite"), "").unwrap(), CALLS);
}

#[test]
fn what_lies_about_in_the_store_disturbs_nobody() {
    let project = Project::scripted();
    let lie_about = || {
        for file in
            ["partial/x", "partial/deep/y", "objects/.tmpZ", "objects/zz/z", "aside/w", "runs/none.jsonl", "notes"]
        {
            project.write(&format!("cache/{file}"), "junk");
        }
        fs_err::create_dir_all(project.path("cache/objects/ab/dir")).unwrap();
    };
    lie_about();
    assert_eq!(made(&project.json()), CALLS);
    lie_about();
    assert_eq!(made(&project.json()), 0);
    project.run(&["cache", "stat"]).exits(0);
    let later = ["gc", "--keep-runs", "1", "--yes"];
    let mut command = project.command(&later);
    command.env("EVALFLOW_CLOCK", "32503680000");
    output_of(command).exits(0);
    let is_left = |file: &str| project.path(&format!("cache/{file}")).exists();
    assert_eq!(["partial/x", "partial/deep/y", "objects/.tmpZ", "aside/w"].map(is_left), [false; 4]);
    assert_eq!(["objects/zz/z", "notes"].map(is_left), [true; 2], "nobody knows what these are");
    assert_eq!(made(&project.json()), 0);
}

#[test]
fn a_crowd_on_a_cold_store_gets_one_result() {
    let alone = Project::scripted();
    let expected = alone.run(&RUN).exits(4).stdout;
    for processes in [2, 8] {
        let project = Project::scripted();
        let children: Vec<Child> = (0..processes).map(|_| project.start(&RUN)).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(4), "{stderr}");
            assert_eq!(stdout, expected, "{stderr}");
        }
        assert_eq!(project.calls_kept(), CALLS, "each call once");
        assert_eq!(project.read("docs/report.md"), alone.read("docs/report.md"));
    }
}
