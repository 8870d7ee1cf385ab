{ What a Pascal program keeps: one line on standard input is one request.
  stores SHAPE SIZE BOUND }
{$mode objfpc}{$H+}
program stores;

uses Classes, SysUtils;

var
  size, bound, served: Integer;
  line: String;
  kept: TStringList;
  last: array of String;

begin
  size := StrToInt(ParamStr(2));
  bound := StrToInt(ParamStr(3));
  kept := TStringList.Create;
  SetLength(last, bound);
  served := 0;
  while not Eof(Input) do
  begin
    ReadLn(line);
    if ParamStr(1) = 'list' then
      kept.Add(line + StringOfChar('x', size))
    else
      last[served mod bound] := line + StringOfChar('x', size);
    Inc(served);
  end;
end.
