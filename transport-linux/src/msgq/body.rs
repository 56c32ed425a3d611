//! Bodies of commands and their answers (`wire/msgq.md` section 11.1).

use serde_json::{Value, json};

use super::CallError;
use super::json::{read, write};

/// A command. `params`: [`Value::Null`] for none.
pub fn command(name: &str, params: &Value) -> Vec<u8> {
    match params {
        Value::Null => write(&json!({"command": [name]})),
        params => write(&json!({"command": [name, params]})),
    }
}

/// The answer to a command that was carried out. `value`: [`Value::Null`] for none.
pub fn result(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => write(&json!({"result": [0]})),
        value => write(&json!({"result": [0, value]})),
    }
}

/// The answer to a command that failed. `code`: 1 is usual, others above 0 are the module's;
/// 0 is no failure and negative ones are the node's: both become 1.
pub fn failure(code: i64, text: &str) -> Vec<u8> {
    write(&json!({"result": [code.max(1), text]}))
}

/// News, for a group whose name begins with `notifications/`. `about`: [`Value::Null`] for
/// nothing.
pub fn notification(event: &str, about: &Value) -> Vec<u8> {
    match about {
        Value::Null => write(&json!({"notification": [event]})),
        about => write(&json!({"notification": [event, about]})),
    }
}

/// What an answer's body says. Success without a value is null.
///
/// # Errors
/// [`CallError::Missing`], [`CallError::Failed`], [`CallError::NoResult`].
pub fn value(body: &[u8]) -> Result<Value, CallError> {
    let no_result = || CallError::NoResult(body.to_vec());
    let mut answer = read(body).ok_or_else(no_result)?;
    let parts = answer.get_mut("result").and_then(Value::as_array_mut).ok_or_else(no_result)?;
    let code = parts.first().and_then(Value::as_i64).ok_or_else(no_result)?;
    let value = parts.get_mut(1).map(Value::take).unwrap_or_default();
    match (code, value) {
        (0, value) => Ok(value),
        (-1, _) => Err(CallError::Missing),
        (code, Value::String(text)) => Err(CallError::Failed { code, text }),
        (code, Value::Null) => Err(CallError::Failed { code, text: String::new() }),
        (code, other) => Err(CallError::Failed { code, text: other.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_answers_are_those_of_the_page() {
        // V8, V11, V37
        assert_eq!(command("say", &json!({"x": 1})), b"{\"command\": [\"say\", {\"x\": 1}]}");
        assert_eq!(command("members", &Value::Null), b"{\"command\": [\"members\"]}");
        assert_eq!(result(&json!("hello")), b"{\"result\": [0, \"hello\"]}");
        assert_eq!(result(&Value::Null), b"{\"result\": [0]}");
        assert_eq!(failure(1, "no"), b"{\"result\": [1, \"no\"]}");
        assert_eq!(failure(-1, "mine"), failure(1, "mine"), "the node's own code stays the node's");
        assert_eq!(notification("rain", &json!({"mm": 3})), b"{\"notification\": [\"rain\", {\"mm\": 3}]}");
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(value(b"{ \"result\": [ 0, [ 1, 2 ] ] }").unwrap(), json!([1, 2]));
        assert_eq!(value(b"{\"result\": [0], \"more\": 1}").unwrap(), Value::Null);
        assert!(matches!(value(b"{\"result\": [-1, \"No such recipient\"]}"), Err(CallError::Missing)));
        for (body, want, said) in [
            (&b"{\"result\": [1, \"no\"]}"[..], 1, "no"),
            (b"{\"result\": [-3, \"late\", 5]}", -3, "late"),
            (b"{\"result\": [7, {\"a\": 1}]}", 7, "{\"a\":1}"),
            (b"{\"result\": [7]}", 7, ""),
        ] {
            assert!(matches!(value(body), Err(CallError::Failed { code, text }) if code == want && text == said));
        }
        for body in [&b""[..], b"{}", b"{\"result\": 0}", b"{\"result\": []}", b"{\"result\": [\"0\"]}", b"\xff"] {
            assert!(matches!(value(body), Err(CallError::NoResult(b)) if b == body), "{body:?}");
        }
    }
}
