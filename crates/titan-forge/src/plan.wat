;; What plans are made with; functions that one does not call are left out of it. A value that is found is left in $at and $len.
  (memory (export "memory") {pages})
  (global $top (mut i32) (i32.const {top}))
  (global $at (mut i32) (i32.const 0))
  (global $len (mut i32) (i32.const 0))

  ;; Makes room for so many bytes at the top.
  (func $room (param $bytes i32)
    (local $missing i32)
    (local.set $missing
      (i32.sub (i32.add (global.get $top) (local.get $bytes)) (i32.shl (memory.size) (i32.const 16))))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq
              (memory.grow (i32.shr_u (i32.add (local.get $missing) (i32.const 65535)) (i32.const 16)))
              (i32.const -1))
          (then (unreachable))))))

  (func (export "cabi_realloc") (param $old i32) (param $old_bytes i32) (param $align i32) (param $bytes i32) (result i32)
    (local $new i32)
    (global.set $top
      (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
               (i32.sub (i32.const 0) (local.get $align))))
    (local.set $new (global.get $top))
    (call $room (local.get $bytes))
    (global.set $top (i32.add (local.get $new) (local.get $bytes)))
    (memory.copy (local.get $new) (local.get $old) (local.get $old_bytes))
    (local.get $new))

  ;; Puts a text at the top.
  (func $put (param $at i32) (param $len i32)
    (call $room (local.get $len))
    (memory.copy (global.get $top) (local.get $at) (local.get $len))
    (global.set $top (i32.add (global.get $top) (local.get $len))))

  (func $put_byte (param $byte i32)
    (i32.store8 (global.get $top) (local.get $byte))
    (global.set $top (i32.add (global.get $top) (i32.const 1))))

  (func $hex (param $digit i32) (result i32)
    (i32.add (local.get $digit)
      (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $digit) (i32.const 9)))))

  ;; Puts a text at the top as the inside of a JSON string.
  (func $put_json (param $at i32) (param $len i32)
    (local $end i32) (local $byte i32) (local $short i32)
    (call $room (i32.mul (local.get $len) (i32.const 6)))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $short (i32.const 0))
        (if (i32.eq (local.get $byte) (i32.const 34)) (then (local.set $short (i32.const 34))))
        (if (i32.eq (local.get $byte) (i32.const 92)) (then (local.set $short (i32.const 92))))
        (if (i32.eq (local.get $byte) (i32.const 8)) (then (local.set $short (i32.const 98))))
        (if (i32.eq (local.get $byte) (i32.const 9)) (then (local.set $short (i32.const 116))))
        (if (i32.eq (local.get $byte) (i32.const 10)) (then (local.set $short (i32.const 110))))
        (if (i32.eq (local.get $byte) (i32.const 12)) (then (local.set $short (i32.const 102))))
        (if (i32.eq (local.get $byte) (i32.const 13)) (then (local.set $short (i32.const 114))))
        (if (local.get $short)
          (then (call $put_byte (i32.const 92)) (call $put_byte (local.get $short)) (br $next)))
        (if (i32.lt_u (local.get $byte) (i32.const 32))
          (then
            (call $put_byte (i32.const 92)) (call $put_byte (i32.const 117))
            (call $put_byte (i32.const 48)) (call $put_byte (i32.const 48))
            (call $put_byte (call $hex (i32.shr_u (local.get $byte) (i32.const 4))))
            (call $put_byte (call $hex (i32.and (local.get $byte) (i32.const 15))))
            (br $next)))
        (call $put_byte (local.get $byte))
        (br $next))))

  (func $is_digit (param $byte i32) (result i32)
    (i32.lt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 10)))

  (func $is_of_word (param $byte i32) (result i32)
    (i32.or (call $is_digit (local.get $byte))
      (i32.or (i32.eq (local.get $byte) (i32.const 95))
        (i32.lt_u (i32.sub (i32.or (local.get $byte) (i32.const 32)) (i32.const 97)) (i32.const 26)))))

  ;; Whether no shell would read more than a word in it.
  (func $is_plain (result i32)
    (local $at i32) (local $end i32) (local $byte i32)
    (local.set $at (global.get $at))
    (local.set $end (i32.add (global.get $at) (global.get $len)))
    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 45)) (then (return (i32.const 0))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (call $is_of_word (local.get $byte)))
        ;; + , - . / : = @ %
        (br_if $next (i32.and (i32.ge_u (local.get $byte) (i32.const 43)) (i32.le_u (local.get $byte) (i32.const 47))))
        (br_if $next (i32.eq (local.get $byte) (i32.const 58)))
        (br_if $next (i32.eq (local.get $byte) (i32.const 61)))
        (br_if $next (i32.eq (local.get $byte) (i32.const 64)))
        (br_if $next (i32.eq (local.get $byte) (i32.const 37)))
        (return (i32.const 0))))
    (i32.const 1))

  ;; Whether JSON takes it as a number: digits, and a fraction.
  (func $is_number (result i32)
    (local $at i32) (local $end i32) (local $byte i32) (local $digits i32) (local $points i32)
    (local.set $at (global.get $at))
    (local.set $end (i32.add (global.get $at) (global.get $len)))
    (if (i32.and (i32.eq (i32.load8_u (local.get $at)) (i32.const 48))
                 (i32.and (i32.gt_u (global.get $len) (i32.const 1))
                          (call $is_digit (i32.load8_u (i32.add (local.get $at) (i32.const 1))))))
      (then (return (i32.const 0))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (call $is_digit (local.get $byte))
          (then (local.set $digits (i32.const 1)) (br $next)))
        (if (i32.eqz (i32.and (i32.eq (local.get $byte) (i32.const 46))
                              (i32.and (local.get $digits) (i32.eqz (local.get $points)))))
          (then (return (i32.const 0))))
        (local.set $points (i32.const 1))
        (local.set $digits (i32.const 0))
        (br $next)))
    (local.get $digits))

  ;; A part of a text without white space around it. Whether anything is left.
  (func $found (param $at i32) (param $end i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (br_if $done (i32.eqz (call $is_white (i32.load8_u (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (br_if $done (i32.eqz (call $is_white (i32.load8_u (i32.sub (local.get $end) (i32.const 1))))))
        (local.set $end (i32.sub (local.get $end) (i32.const 1)))
        (br $next)))
    (global.set $at (local.get $at))
    (global.set $len (i32.sub (local.get $end) (local.get $at)))
    (i32.gt_u (local.get $end) (local.get $at)))

  (func $is_white (param $byte i32) (result i32)
    (i32.or
      (i32.or (i32.eq (local.get $byte) (i32.const 32)) (i32.eq (local.get $byte) (i32.const 9)))
      (i32.or (i32.eq (local.get $byte) (i32.const 10)) (i32.eq (local.get $byte) (i32.const 13)))))

  ;; The end of the line that a place is in.
  (func $line_end (param $at i32) (param $end i32) (result i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (br_if $done (i32.eq (i32.load8_u (local.get $at)) (i32.const 10)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $at))

  (func $whole (param $at i32) (param $len i32) (result i32)
    (call $found (local.get $at) (i32.add (local.get $at) (local.get $len))))

  (func $line (param $at i32) (param $len i32) (param $line i32) (result i32)
    (local $end i32) (local $stop i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (loop $next
      (local.set $stop (call $line_end (local.get $at) (local.get $end)))
      (if (i32.eqz (local.get $line))
        (then (return (call $found (local.get $at) (local.get $stop)))))
      (if (i32.ge_u (local.get $stop) (local.get $end)) (then (return (i32.const 0))))
      (local.set $line (i32.sub (local.get $line) (i32.const 1)))
      (local.set $at (i32.add (local.get $stop) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; How many lines are not blank; the digits are left above the top.
  (func $lines (param $at i32) (param $len i32) (result i32)
    (local $end i32) (local $stop i32) (local $count i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done
      (loop $next
        (local.set $stop (call $line_end (local.get $at) (local.get $end)))
        (local.set $count
          (i32.add (local.get $count) (call $found (local.get $at) (local.get $stop))))
        (br_if $done (i32.ge_u (local.get $stop) (local.get $end)))
        (local.set $at (i32.add (local.get $stop) (i32.const 1)))
        (br $next)))
    (call $room (i32.const 32))
    (local.set $at (i32.add (global.get $top) (i32.const 32)))
    (local.set $end (local.get $at))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $count) (i32.const 10))))
      (local.set $count (i32.div_u (local.get $count) (i32.const 10)))
      (br_if $next (local.get $count)))
    (global.set $top (local.get $end))
    (call $found (local.get $at) (local.get $end)))

  (func $number (param $start i32) (param $len i32) (param $number i32) (result i32)
    (local $at i32) (local $end i32) (local $first i32) (local $byte i32)
    (local.set $at (local.get $start))
    (local.set $end (i32.add (local.get $start) (local.get $len)))
    (block $none
      (loop $next
        (br_if $none (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.eqz (call $is_digit (i32.load8_u (local.get $at))))
          (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br $next)))
        (local.set $first (local.get $at))
        (block $over
          (loop $more
            (br_if $over (i32.ge_u (local.get $at) (local.get $end)))
            (local.set $byte (i32.load8_u (local.get $at)))
            (if (i32.eqz (call $is_digit (local.get $byte)))
              (then
                ;; A point or a comma, with a digit after it.
                (br_if $over (i32.eqz (i32.or (i32.eq (local.get $byte) (i32.const 46)) (i32.eq (local.get $byte) (i32.const 44)))))
                (br_if $over (i32.ge_u (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
                (br_if $over (i32.eqz (call $is_digit (i32.load8_u (i32.add (local.get $at) (i32.const 1))))))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $more)))
        (if (i32.gt_u (local.get $first) (local.get $start))
          (then (br_if $next (call $is_of_word (i32.load8_u (i32.sub (local.get $first) (i32.const 1)))))))
        (if (i32.lt_u (local.get $at) (local.get $end))
          (then (br_if $next (call $is_of_word (i32.load8_u (local.get $at))))))
        (if (i32.eqz (local.get $number))
          (then (return (call $found (local.get $first) (local.get $at)))))
        (local.set $number (i32.sub (local.get $number) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Where a text first stands in another, or -1.
  (func $find (param $at i32) (param $end i32) (param $text i32) (param $len i32) (result i32)
    (local $idx i32)
    (block $none
      (loop $next
        (br_if $none (i32.gt_u (i32.add (local.get $at) (local.get $len)) (local.get $end)))
        (local.set $idx (i32.const 0))
        (block $other
          (loop $same
            (if (i32.eq (local.get $idx) (local.get $len)) (then (return (local.get $at))))
            (br_if $other
              (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $idx)))
                      (i32.load8_u (i32.add (local.get $text) (local.get $idx)))))
            (local.set $idx (i32.add (local.get $idx) (i32.const 1)))
            (br $same)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const -1))

  (func $between (param $at i32) (param $len i32) (param $before i32) (param $before_len i32) (param $after i32) (param $after_len i32) (result i32)
    (local $end i32) (local $stop i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (local.set $at (call $find (local.get $at) (local.get $end) (local.get $before) (local.get $before_len)))
    (if (i32.eq (local.get $at) (i32.const -1)) (then (return (i32.const 0))))
    (local.set $at (i32.add (local.get $at) (local.get $before_len)))
    (local.set $stop (call $line_end (local.get $at) (local.get $end)))
    (if (local.get $after_len)
      (then
        (local.set $stop (call $find (local.get $at) (local.get $stop) (local.get $after) (local.get $after_len)))
        (if (i32.eq (local.get $stop) (i32.const -1)) (then (return (i32.const 0))))))
    (call $found (local.get $at) (local.get $stop)))

  ;; A text of a list.
  (func $item (param $list i32) (param $count i32) (param $idx i32) (result i32)
    (if (i32.ge_u (local.get $idx) (local.get $count)) (then (return (i32.const 0))))
    (local.set $list (i32.add (local.get $list) (i32.shl (local.get $idx) (i32.const 3))))
    (global.set $at (i32.load (local.get $list)))
    (global.set $len (i32.load offset=4 (local.get $list)))
    (i32.ne (global.get $len) (i32.const 0)))

  ;; A step of this kind with one text.
  (func $say (param $kind i32) (param $at i32) (param $len i32) (result i32)
    (local $step i32)
    (local.set $step (call $aligned (i32.const 12)))
    (i32.store (local.get $step) (local.get $kind))
    (i32.store offset=4 (local.get $step) (local.get $at))
    (i32.store offset=8 (local.get $step) (local.get $len))
    (local.get $step))

  ;; A step that makes one call.
  (func $call (param $tool i32) (param $tool_len i32) (param $at i32) (param $len i32) (result i32)
    (local $list i32)
    (local.set $list (call $aligned (i32.const 16)))
    (i32.store (local.get $list) (local.get $tool))
    (i32.store offset=4 (local.get $list) (local.get $tool_len))
    (i32.store offset=8 (local.get $list) (local.get $at))
    (i32.store offset=12 (local.get $list) (local.get $len))
    (call $say (i32.const 0) (local.get $list) (i32.const 1)))

  (func $aligned (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 3)) (i32.const -4)))
    (global.set $top (local.get $at))
    (call $room (local.get $bytes))
    (global.set $top (i32.add (local.get $at) (local.get $bytes)))
    (local.get $at))
