//! From a conversation to the text a model was trained on: its own chat template, rendered as Hugging Face does.
//!
//! A file without a template is a base model. It gets paragraphs that begin with `System:`, `User:` and `Assistant:`,
//! with the last one open, and its reply ends before the next `User:` line.

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value, context};
use regex::Regex;
use serde::Serialize as _;

use super::{Message, Role};

const NAME: &str = "chat";

/// Why a model's chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("its chat template {message}")]
pub struct TemplateError {
    /// What is wrong, in a lower-case fragment.
    pub message: String,
}

impl TemplateError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> &'static str {
        "pull another conversion of the model: this one cannot be asked anything"
    }
}

/// Renders a short conversation with a file's chat template, as it is done before a model is asked.
///
/// # Errors
/// It does not compile or render, or leaves out what is asked.
pub fn check(source: &str) -> Result<(), TemplateError> {
    let question = Message::new(Role::User, "7351");
    let rendered = ChatTemplate::new(Some(source.to_owned()), "<s>".to_owned(), "</s>".to_owned())
        .and_then(|template| template.render(std::slice::from_ref(&question)));
    match rendered {
        Ok(text) if text.contains(&question.content) => Ok(()),
        Ok(_) => Err(TemplateError { message: "leaves out what is asked".to_owned() }),
        Err(error) => Err(TemplateError { message: format!("cannot be rendered: {error}") }),
    }
}

/// How a model wants conversations written.
pub(super) struct ChatTemplate(Kind);

enum Kind {
    Jinja(Box<Jinja>),
    Plain,
}

struct Jinja {
    environment: Environment<'static>,
    bos: String,
    eos: String,
    /// Makes a content as the template wants it.
    to_content: fn(&str) -> Value,
    takes_system: bool,
}

impl ChatTemplate {
    /// Compiles the template of a file; without one the plain form is used.
    ///
    /// Templates differ in what they take, and some leave out silently what they do not know. So this one is tried on a
    /// short conversation first, which makes the choice the same whatever is said later.
    pub(super) fn new(source: Option<String>, bos: String, eos: String) -> Result<Self, Error> {
        let Some(source) = source else { return Ok(Self(Kind::Plain)) };
        let environment = environment(&source)?;
        let mut jinja = Jinja { environment, bos, eos, to_content: text_content, takes_system: true };
        // Digits, because a template may change the case of letters.
        let user = Message::new(Role::User, "7351");
        let system = Message::new(Role::System, "9246");
        let says = |jinja: &Jinja, messages: &[Message]| {
            let text = jinja.render(messages).unwrap_or_default();
            // A list that is printed as such was not understood.
            messages.iter().all(|message| text.contains(&message.content)) && !text.contains("'type'")
        };
        if !says(&jinja, std::slice::from_ref(&user)) {
            let other = Jinja { to_content: list_content, ..jinja };
            let is_better = says(&other, std::slice::from_ref(&user));
            jinja = if is_better { other } else { Jinja { to_content: text_content, ..other } };
        }
        jinja.takes_system = says(&jinja, &[system, user]);
        Ok(Self(Kind::Jinja(Box::new(jinja))))
    }

    /// Renders the conversation up to where the model speaks next.
    ///
    /// Where the template knows no system role, its text stands at the head of the first user turn.
    pub(super) fn render(&self, messages: &[Message]) -> Result<String, Error> {
        match &self.0 {
            Kind::Plain => Ok(plain(messages)),
            Kind::Jinja(jinja) if jinja.takes_system => jinja.render(messages),
            Kind::Jinja(jinja) => jinja.render(&without_system(messages)),
        }
    }

    /// A text before which the reply ends, besides the model's own end-of-turn tokens.
    #[cfg_attr(not(any(test, feature = "llama")), expect(dead_code, reason = "only the embedded engine looks for it"))]
    pub(super) fn stop(&self) -> Option<&'static str> {
        match self.0 {
            Kind::Jinja(_) => None,
            Kind::Plain => Some("\nUser:"),
        }
    }
}

impl Jinja {
    fn render(&self, messages: &[Message]) -> Result<String, Error> {
        let turn = |Message { role, content }: &Message| {
            Value::from_pairs([("role", Value::from(role.as_str())), ("content", (self.to_content)(content))])
        };
        self.environment.get_template(NAME)?.render(context! {
            messages => messages.iter().map(turn).collect::<Vec<_>>(),
            tools => (),
            documents => (),
            add_generation_prompt => true,
            bos_token => &self.bos,
            eos_token => &self.eos,
        })
    }
}

/// Compiles a template with what Hugging Face's renderer offers. The date is left out, for a prompt is to be the same
/// tomorrow; templates ask whether `strftime_now` is there.
fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", to_json);
    // In Python nothing is not iterable, and what is not defined is as long as an empty list.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_filter(
        "length",
        |value: &Value| {
            if value.is_undefined() { Ok(0) } else { minijinja::filters::length(value) }
        },
    );
    environment.add_template_owned(NAME, without_generation_blocks(source).into_owned())?;
    Ok(environment)
}

fn text_content(content: &str) -> Value {
    content.into()
}

fn list_content(content: &str) -> Value {
    vec![Value::from_pairs([("type", "text"), ("text", content)])].into()
}

fn plain(messages: &[Message]) -> String {
    let mut text = String::new();
    for Message { role, content } in messages {
        let speaker = match role {
            Role::System => "System",
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        text.extend([speaker, ": ", content.trim(), "\n\n"]);
    }
    // No space at the end: tokens of words carry the space before them.
    text.push_str("Assistant:");
    text
}

/// The conversation with all system texts at the head of the first user turn.
fn without_system(messages: &[Message]) -> Vec<Message> {
    let (system, mut rest): (Vec<_>, Vec<_>) =
        messages.iter().cloned().partition(|message| message.role == Role::System);
    let Some(first) = rest.iter_mut().find(|message| message.role == Role::User) else { return messages.to_vec() };
    let mut parts: Vec<_> = system.into_iter().map(|message| message.content).collect();
    parts.push(std::mem::take(&mut first.content));
    first.content = parts.join("\n\n");
    rest
}

/// `{% generation %}` marks what to train on; Hugging Face's renderer skips the tag and keeps what is inside.
fn without_generation_blocks(source: &str) -> Cow<'_, str> {
    let tag = Regex::new(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})").expect("the pattern is valid");
    tag.replace_all(source, |found: &regex::Captures<'_>| {
        let word = if found.get(2).is_some() { "endif" } else { "if true" };
        format!("{}{word}{}", &found[1], &found[3])
    })
}

/// Writes JSON as Python's `json.dumps` does, with `ensure_ascii` off; minijinja's own filter escapes for HTML.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::new(ErrorKind::BadSerialization, error.to_string());
    let indent: Option<usize> = options.get("indent")?;
    options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width);
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonFormatter)),
    };
    written.map_err(|error| wrong(&error))?;
    String::from_utf8(out).map_err(|error| wrong(&error))
}

struct PythonFormatter;

impl serde_json::ser::Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::check as check_template;
    use super::*;

    const CHATML: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
    const LLAMA_3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
    const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}";
    const DROPS_SYSTEM: &str = "{% for message in messages %}{% if message['role'] == 'user' %}[{{ message['content'] }}]{% endif %}{% endfor %}";
    /// What newer templates use, a line a block. Its rendering was taken from Hugging Face's own renderer.
    const MODERN: &str = r"{#- A comment #}
{%- set ns = namespace(index=0, last='') %}
{%- if strftime_now is defined %}
    {{- strftime_now('%Y') }}
{%- else %}
    {{- 'no date' }}
{%- endif %}
{%- if tools is iterable and tools | length > 0 %}
    {{- tools | tojson }}
{%- endif %}

{% for message in messages %}
    {%- if message.role == 'system' %}
        {%- continue %}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
    {%- set content = message['content'] %}
    {%- if '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {% if message.role == 'assistant' %}
    {% generation %}[{{ content }}]{% endgeneration %}
    {% elif content.startswith('{') or not loop.first %}
({{ {'n': ns.index, 'text': content, 'list': [1, 2]} | tojson }})
    {% endif %}
{% endfor %}
{{ undefined_thing }}{{ undefined_thing | length }}end
";

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::new(Some(source.to_owned()), "<bos>".to_owned(), "<eos>".to_owned()).unwrap()
    }

    fn conversation(turns: &[(Role, &str)]) -> Vec<Message> {
        turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
    }

    fn check(source: &str, turns: &[(Role, &str)], expected: &str) {
        assert_eq!(template(source).render(&conversation(turns)).unwrap(), expected);
    }

    #[test]
    fn templates_render_as_the_model_knows_them() {
        use Role::{Assistant, System, User};
        check(
            CHATML,
            &[(System, "Be kind."), (User, " Hi\n"), (Assistant, "Hello"), (User, "Bye")],
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n Hi\n<|im_end|>\n<|im_start|>assistant\n\
             Hello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
        );
        check(
            CHATML,
            &[(User, "Hi")],
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
             <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
        );
        check(
            LLAMA_3,
            &[(System, " Be kind. "), (User, "Hi\n")],
            "<bos><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n",
        );
        check(
            MODERN,
            &[(User, "{a} <b> é"), (Assistant, "hm</think>\n\nyes"), (User, "'q' & \"r\"")],
            "no date\n({\"n\": 1, \"text\": \"{a} <b> é\", \"list\": [1, 2]})\n\
             [yes]({\"n\": 3, \"text\": \"'q' & \\\"r\\\"\", \"list\": [1, 2]})\n0end",
        );
    }

    #[test]
    fn a_system_text_that_is_refused_or_dropped_joins_the_first_user_turn() {
        use Role::{Assistant, System, User};
        let expected = "<bos><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n<start_of_turn>model\n";
        check(GEMMA, &[(System, "Be kind."), (User, "Hi")], expected);
        check(
            DROPS_SYSTEM,
            &[(System, "Be kind."), (System, "Be brief."), (User, "Hi"), (User, "Bye")],
            "[Be kind.\n\nBe brief.\n\nHi][Bye]",
        );
        let refused = template(GEMMA).render(&conversation(&[(Assistant, "Hi"), (User, "Hi")])).unwrap_err();
        assert_eq!(refused.detail(), Some("Conversation roles must alternate"));
    }

    #[test]
    fn contents_become_lists_where_only_lists_are_known() {
        let typed = "{% for message in messages %}{{ message.role }}:{% for part in message.content %}\
                     {% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %};{% endfor %}";
        check(typed, &[(Role::System, "Be kind."), (Role::User, "Hi")], "system:Be kind.;user:Hi;");
        // Contents that a template changes, or of which it makes nothing at all.
        check("{{ messages[0].content | upper }}", &[(Role::User, "Hi")], "HI");
        check("{{ bos_token }}", &[(Role::System, "Be kind."), (Role::User, "Hi")], "<bos>");
    }

    #[test]
    fn without_a_template_there_are_paragraphs() {
        use Role::{Assistant, System, User};
        let plain = ChatTemplate::new(None, String::new(), String::new()).unwrap();
        let turns = [(System, "Be kind."), (User, " Hi\n"), (Assistant, "Hello"), (User, "Bye")];
        assert_eq!(
            plain.render(&conversation(&turns)).unwrap(),
            "System: Be kind.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: Bye\n\nAssistant:"
        );
        assert_eq!(plain.stop(), Some("\nUser:"));
        assert_eq!(template(CHATML).stop(), None);
    }

    #[test]
    fn a_broken_template_is_an_error() {
        assert!(ChatTemplate::new(Some("{% for %}".to_owned()), String::new(), String::new()).is_err());
    }

    #[test]
    fn a_template_that_asks_nothing_is_told() {
        for good in [CHATML, LLAMA_3, GEMMA, DROPS_SYSTEM, "{{ messages }}"] {
            assert!(check_template(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("{{ bos_token }}", "its chat template leaves out what is asked"),
            ("{% for %}", "its chat template cannot be rendered: syntax error"),
            ("{{ raise_exception('no') }}", "its chat template cannot be rendered: invalid operation: no"),
        ] {
            let error = check_template(bad).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
