// A tool's question, with its suggested answers or free text.

import { useState } from "preact/hooks";
import type { Question } from "../state";
import { answer } from "../store";
import { clean, cleanLine } from "../visible";
import { Icon } from "./icons";

export function QuestionView({ question, isLive }: { question: Question; isLive: boolean }) {
  const isOpen = isLive && question.answer === undefined;
  return (
    <section class="question" role="group" aria-label="Question" tabIndex={-1} data-request={isOpen}>
      <p class="asked">
        <Icon name="question" />
        {clean(question.text)}
      </p>
      {isOpen ? <Answers question={question} /> : <Answered question={question} />}
    </section>
  );
}

function Answered({ question }: { question: Question }) {
  return <p class="answered">{clean(question.answer ?? "(nobody answered)")}</p>;
}

function Answers({ question }: { question: Question }) {
  const [text, setText] = useState("");
  const [isSent, setSent] = useState(false);
  const send = async (text: string) => {
    if (isSent || text.trim() === "") return;
    setSent(true);
    setSent(await answer(question.id, text));
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void send(text);
  };
  return (
    <>
      {question.choices.length > 0 && (
        <div class="choices">
          {question.choices.map((choice, idx) => (
            <button key={idx} type="button" disabled={isSent} onClick={() => void send(choice)}>
              {cleanLine(choice)}
            </button>
          ))}
        </div>
      )}
      <form class="answer" onSubmit={submit}>
        <input
          value={text}
          aria-label="Answer"
          placeholder={question.choices.length > 0 ? "or answer in your own words" : "answer"}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" disabled={isSent || text.trim() === ""}>
          Answer
        </button>
      </form>
    </>
  );
}
