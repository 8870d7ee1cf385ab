(* What an OCaml program keeps: one line on standard input is one request.
   ocaml stores.ml SHAPE SIZE BOUND *)
let size = int_of_string Sys.argv.(2)
let bound = int_of_string Sys.argv.(3)
let table : (int, bytes) Hashtbl.t = Hashtbl.create 16

let serve served = match Sys.argv.(1) with
  | "table" -> Hashtbl.add table served (Bytes.make size 'x')
  | _ -> ignore (List.init bound (fun i -> Bytes.make size (Char.chr (i land 127))))

let rec loop served =
  match input_line stdin with
  | _ -> serve served; loop (served + 1)
  | exception End_of_file -> ()

let () = loop 0
